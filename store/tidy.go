package store

import "context"

// Tidy brings together the parts that changes left of the index of words, which each search reads one by one, and takes
// out of it the words of findings that are no more. It does so in steps, between which others write; there is nothing
// to do where nothing has changed since, and where the database does it by itself.
func (s *Store) Tidy(ctx context.Context) error {
	if s.e.Merge == nil {
		return nil
	}
	more := true
	for first := true; more; first = false {
		if err := s.change(ctx, func(r *reader) (err error) {
			more, err = s.e.Merge(r.ctx, r.tx, first)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}
