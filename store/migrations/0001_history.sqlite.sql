-- The words of findings, for search by their beginnings. Triggers keep it.
CREATE VIRTUAL TABLE finding_words USING fts5(words, content='', contentless_delete=1, detail='none', prefix='2 3', tokenize='ascii');
CREATE TRIGGER findings_words_added AFTER INSERT ON findings BEGIN
    INSERT INTO finding_words (rowid, words) VALUES (new.n, new.words);
END;
CREATE TRIGGER findings_words_changed AFTER UPDATE OF words ON findings WHEN old.words <> new.words BEGIN
    -- Not OR REPLACE: the statement that fires a trigger decides about conflicts.
    DELETE FROM finding_words WHERE rowid = old.n;
    INSERT INTO finding_words (rowid, words) VALUES (new.n, new.words);
END;
CREATE TRIGGER findings_words_removed AFTER DELETE ON findings BEGIN
    DELETE FROM finding_words WHERE rowid = old.n;
END;
