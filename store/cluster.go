package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// Cluster is one whose history is kept.
type Cluster struct {
	UID  string `json:"uid"` // of its kube-system namespace
	Name string `json:"name"`
	// First is when it was first put into the store, and Last when it was last, or somebody watched for it while it
	// was out of sight. Heard is when it was last heard of, and Judged when it was last judged whole.
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
	Heard  time.Time `json:"heard"`
	Judged time.Time `json:"judged,omitzero"`
	// Seq is the number of its last change.
	Seq int64 `json:"seq"`
	// Pushes tells that a spoke may push with a token.
	Pushes bool `json:"pushes"`
}

var errNoUID = errors.New("store: a cluster needs the UID of its kube-system namespace")

// PutCluster adds a cluster, or gives it another name.
func (s *Store) PutCluster(ctx context.Context, uid, name string, at time.Time) error {
	if uid == "" {
		return errNoUID
	}
	uid, name = clean(uid), clean(name)
	return s.change(ctx, func(r *reader) error {
		if err := r.addCluster(uid, name, at); err != nil {
			return err
		}
		var term int64
		if err := r.row("SELECT term FROM clusters WHERE uid = ?"+s.e.Lock, uid).Scan(&term); err != nil {
			return err
		}
		if err := s.term.allows(uid, term); err != nil {
			return err
		}
		_, err := r.exec("UPDATE clusters SET name = ?, last_at = ? WHERE uid = ?", name, nanos(at), uid)
		return err
	})
}

// addCluster adds a cluster that is not there.
func (r *reader) addCluster(uid, name string, at time.Time) error {
	// The row of the store itself is locked, so that two new clusters get two numbers.
	var zero, there int64
	if err := r.row("SELECT n FROM clusters WHERE n = 0" + r.e.Lock).Scan(&zero); err != nil {
		return err
	}
	if err := r.row("SELECT count(*) FROM clusters WHERE uid = ?", uid).Scan(&there); err != nil || there > 0 {
		return err
	}
	var n int64
	if err := r.row("SELECT max(n) + 1 FROM clusters").Scan(&n); err != nil {
		return err
	}
	return r.insert("clusters", []string{"n", "uid", "name", "first_at", "last_at", "heard_at", "judged_at", "seq", "high"},
		[][]any{{n, uid, name, nanos(at), nanos(at), nanos(at), 0, 0, 0}}, "")
}

const clusterColumns = "uid, name, first_at, last_at, heard_at, judged_at, seq, CASE WHEN token IS NULL THEN 0 ELSE 1 END"

func scanCluster(scan func(...any) error) (Cluster, error) {
	var c Cluster
	var first, last, heard, judged, pushes int64
	err := scan(&c.UID, &c.Name, &first, &last, &heard, &judged, &c.Seq, &pushes)
	c.First, c.Last, c.Heard, c.Judged, c.Pushes = moment(first), moment(last), moment(heard), moment(judged), pushes == 1
	return c, err
}

// Clusters lists the clusters by name.
func (s *Store) Clusters(ctx context.Context) ([]Cluster, error) {
	var list []Cluster
	err := s.read(ctx, func(r *reader) error {
		return r.each(func(rows *sql.Rows) error {
			c, err := scanCluster(rows.Scan)
			list = append(list, c)
			return err
		}, "SELECT "+clusterColumns+" FROM clusters WHERE n > 0 ORDER BY name, uid")
	})
	return list, err
}

// Cluster gives one cluster.
func (s *Store) Cluster(ctx context.Context, uid string) (Cluster, error) {
	var c Cluster
	err := s.read(ctx, func(r *reader) (err error) {
		c, err = scanCluster(r.row("SELECT "+clusterColumns+" FROM clusters WHERE n > 0 AND uid = ?", clean(uid)).Scan)
		return noCluster(err, uid)
	})
	return c, err
}

// Heard notes that the cluster's findings were seen to be as they are kept.
func (s *Store) Heard(ctx context.Context, cluster string, at time.Time) error {
	return s.write(ctx, cluster, at, func(w *writer) error { return w.hear() })
}

func (w *writer) hear() error {
	if w.heard == w.at {
		return nil
	}
	_, err := w.exec("UPDATE clusters SET heard_at = ? WHERE n = ?", w.at, w.cluster)
	return err
}

// HashToken gives what is kept of a push token.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// SetToken keeps the hash of the token with which the cluster's spoke pushes; an empty
// one takes the right away.
func (s *Store) SetToken(ctx context.Context, cluster, hash string) error {
	if sum, err := hex.DecodeString(hash); hash != "" && (err != nil || len(sum) != sha256.Size) {
		return errors.New("store: this is no hash of a token: give what HashToken gives")
	}
	return s.write(ctx, cluster, time.Time{}, func(w *writer) error {
		if w.cluster == 0 {
			return fmt.Errorf("store: no cluster %q: %w", cluster, ErrNotFound)
		}
		_, err := w.exec("UPDATE clusters SET token = ? WHERE n = ?", sql.NullString{String: hash, Valid: hash != ""}, w.cluster)
		return err
	})
}

// ClusterOfToken gives the UID of the one cluster that the token with this hash may write.
func (s *Store) ClusterOfToken(ctx context.Context, hash string) (string, error) {
	var uid string
	err := s.read(ctx, func(r *reader) error {
		err := r.row("SELECT uid FROM clusters WHERE token IS NOT NULL AND token = ?", clean(hash)).Scan(&uid)
		if errors.Is(err, sql.ErrNoRows) {
			err = fmt.Errorf("store: no cluster has this token: %w", ErrNotFound)
		}
		return err
	})
	return uid, err
}

// noCluster is the error of a query for a cluster that is not there.
func noCluster(err error, uid string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("store: no cluster %q: %w", uid, ErrNotFound)
	}
	return err
}
