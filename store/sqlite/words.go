package sqlite

import (
	"context"
	"database/sql"
)

// mergePages is how many pages of the index of words one step writes: others wait for it. A variable for tests.
var mergePages = 64

// mergeWords is a step of bringing all parts of the index of words into one. A negative number of pages has all parts merged, however
// few they are; a positive one goes on with what was begun. Fewer than two changes tell that there was nothing to do
// (https://www.sqlite.org/fts5.html#the_merge_command). It goes on where parts are two, and not four: else it would end where others
// have added more parts meanwhile than are being merged.
func mergeWords(ctx context.Context, tx *sql.Tx, first bool) (more bool, err error) {
	pages := mergePages
	if first {
		pages = -mergePages
		if _, err := tx.ExecContext(ctx, "INSERT INTO finding_words (finding_words, rank) VALUES ('usermerge', 2)"); err != nil {
			return false, err
		}
	}
	var before, after int64
	if err := tx.QueryRowContext(ctx, "SELECT total_changes()").Scan(&before); err != nil {
		return false, err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO finding_words (finding_words, rank) VALUES ('merge', ?)", pages); err != nil {
		return false, err
	}
	err = tx.QueryRowContext(ctx, "SELECT total_changes()").Scan(&after)
	return after-before >= 2, err
}
