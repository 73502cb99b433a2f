-- "§1s4o" marks what is open of cluster 1 and severity 4, and either "§1s4w" what of that is
-- waived or "§1s4n" the rest; "§1s4g" marks what has gone.
DROP TRIGGER findings_words_added;
DROP TRIGGER findings_words_changed;
DROP TRIGGER findings_words_removed;
DROP TABLE finding_words;
CREATE VIRTUAL TABLE finding_words USING fts5(words, content='', contentless_delete=1, detail='none', prefix='2 3', tokenize='ascii');
INSERT INTO finding_words (rowid, words) SELECT n, words || ' §' || cluster || 's' || severity || CASE WHEN gone = 1 THEN 'g' ELSE
    'o §' || cluster || 's' || severity || CASE waived WHEN 0 THEN 'n' ELSE 'w' END END FROM findings ORDER BY n;
CREATE TRIGGER findings_words_added AFTER INSERT ON findings BEGIN
    INSERT INTO finding_words (rowid, words) VALUES (new.n, new.words || ' §' || new.cluster || 's' || new.severity || CASE WHEN new.gone = 1 THEN 'g' ELSE
        'o §' || new.cluster || 's' || new.severity || CASE new.waived WHEN 0 THEN 'n' ELSE 'w' END END);
END;
CREATE TRIGGER findings_words_changed AFTER UPDATE OF words, severity, gone, waived ON findings
    WHEN old.words <> new.words OR old.severity <> new.severity OR old.gone <> new.gone OR old.waived <> new.waived BEGIN
    -- Not OR REPLACE: the statement that fires a trigger decides about conflicts.
    DELETE FROM finding_words WHERE rowid = old.n;
    INSERT INTO finding_words (rowid, words) VALUES (new.n, new.words || ' §' || new.cluster || 's' || new.severity || CASE WHEN new.gone = 1 THEN 'g' ELSE
        'o §' || new.cluster || 's' || new.severity || CASE new.waived WHEN 0 THEN 'n' ELSE 'w' END END);
END;
CREATE TRIGGER findings_words_removed AFTER DELETE ON findings BEGIN
    DELETE FROM finding_words WHERE rowid = old.n;
END;
