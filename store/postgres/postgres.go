// Package postgres keeps the store in a PostgreSQL database, 13 or newer: for several
// replicas, and for fleets.
package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/baileyhq/bailey/store"
)

const (
	connections    = 16
	asking         = 2 // connections beside them: see store.Engine
	connectTimeout = 10 * time.Second
)

// Open opens the store in the database of a connection string ("postgres://bailey@db/bailey",
// with sslmode and the rest as libpq has them; also "host=... dbname=..."). The user must
// be able to create tables in it at first. No error shows a password.
func Open(ctx context.Context, conn string) (*store.Store, error) {
	config, err := pgx.ParseConfig(conn)
	if err != nil {
		// The error quotes the string first, with a part of some passwords.
		text := err.Error()
		text = text[strings.LastIndex(text, "`: ")+1:]
		hide := &hidden{errors.New(strings.TrimPrefix(text, ": ")), secrets(conn)}
		return nil, fmt.Errorf("store: the connection string of PostgreSQL cannot be read: %w", hide)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	config.DialFunc = dialer.DialContext
	config.RuntimeParams["application_name"] = "bailey"
	config.RuntimeParams["client_encoding"] = "UTF8"
	// Every query has an index. Before the first ANALYZE, and for the sake of a LIMIT, the
	// planner would read tables whole.
	config.RuntimeParams["enable_seqscan"] = "off"
	// They are short: to compile one, or to start helpers for it, takes longer than to run it. What
	// the index of words lists fits into memory, or all of it would be read again.
	config.RuntimeParams["jit"] = "off"
	config.RuntimeParams["max_parallel_workers_per_gather"] = "0"
	config.RuntimeParams["work_mem"] = "32MB"
	hide := secrets(conn)
	if config.Password != "" {
		hide = append(hide, config.Password)
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	db.SetConnMaxIdleTime(5 * time.Minute)
	ask := stdlib.OpenDB(*config)
	ask.SetMaxOpenConns(asking)
	ask.SetMaxIdleConns(asking)
	ask.SetConnMaxIdleTime(5 * time.Minute)
	s, err := store.New(ctx, store.Engine{
		Name: "postgres", Write: db, Read: db, Ask: ask,
		Int: "bigint", Text: `text COLLATE "C"`, RowID: "bigint NOT NULL PRIMARY KEY",
		Numbered: true, Lock: " FOR UPDATE", Snapshot: sql.LevelRepeatableRead,
		// Planned as if all were asked for, or the limit would keep it from the index.
		Hits: "(WITH m AS MATERIALIZED (SELECT n, cluster, id, grp, control, rule, severity, namespace, kind, name, gone, waived, opened, opened_at, words FROM findings" +
			" WHERE array_to_tsvector(string_to_array(" + searched + ", ' ')) @@ CAST(? AS text)::tsquery) SELECT * FROM m LIMIT ?) AS f",
		Term: term, And: " & ", Or: " | ", Not: " & !",
		// The transaction that asks is one that only reads: what counts is what others are by default.
		Standby:     "SELECT CASE WHEN pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on' THEN 1 ELSE 0 END",
		Unavailable: unavailable,
		Answers:     answers,
		Analyze:     "ANALYZE findings, finding_groups, verdicts",
	})
	if err != nil {
		return nil, errors.Join(&hidden{err, hide}, db.Close(), ask.Close())
	}
	return s, nil
}

// searched is the expression that the index of words is of.
const searched = "words || ' §' || CAST(cluster AS text) || 's' || CAST(severity AS text) || CASE WHEN gone = 1 THEN 'g' ELSE 'o §' || CAST(cluster AS text) || 's' || CAST(severity AS text) || CASE waived WHEN 0 THEN 'n' ELSE 'w' END END"

// hidden is an error whose text shows no password.
type hidden struct {
	err  error
	hide []string
}

func (h *hidden) Error() string {
	text := h.err.Error()
	for _, secret := range h.hide {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "xxxxx")
		}
	}
	return text
}

func (h *hidden) Unwrap() error { return h.err }

var passwordField = regexp.MustCompile(`(?i)\b(?:ssl)?password\s*=\s*('(?:[^'\\]|\\.)*'|[^\s&]*)`)

// secrets gives the passwords in a connection string, as they stand there and decoded.
func secrets(conn string) []string {
	var list []string
	if u, err := url.Parse(conn); err == nil && u.User != nil {
		if password, set := u.User.Password(); set {
			list = append(list, password, url.QueryEscape(password), url.PathEscape(password))
		}
	}
	if _, rest, found := strings.Cut(conn, "://"); found {
		if at := strings.LastIndex(rest, "@"); at >= 0 {
			if _, password, found := strings.Cut(rest[:at], ":"); found {
				list = append(list, password)
			}
		}
	}
	for _, m := range passwordField.FindAllStringSubmatch(conn, -1) {
		list = append(list, m[1], strings.Trim(m[1], "'"))
	}
	return list
}

// unavailable tells the errors that pass once the server is back, or has room.
func unavailable(err error) bool {
	var state *pgconn.PgError
	if errors.As(err, &state) {
		switch state.Code {
		case "25006": // read-only: a standby that became no primary
			return true
		}
		switch state.Code[:2] {
		case "08", "53", "57", "58", "40":
			return state.Code != "57014" // the caller cancelled it
		}
		return false
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.As(err, &network) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled)
}

// term is a word in what the index of words is asked for.
func term(word string, begins bool) string {
	if begins {
		return "'" + word + "':*"
	}
	return "'" + word + "'"
}
