-- "§1s4o" marks what is open of cluster 1 and severity 4, and either "§1s4w" what of that is
-- waived or "§1s4n" the rest; "§1s4g" marks what has gone.
CREATE INDEX findings_search ON findings USING gin (array_to_tsvector(string_to_array(words || ' §' || CAST(cluster AS text) || 's' || CAST(severity AS text) || CASE WHEN gone = 1 THEN 'g' ELSE 'o §' || CAST(cluster AS text) || 's' || CAST(severity AS text) || CASE waived WHEN 0 THEN 'n' ELSE 'w' END END, ' ')));
-- Last: it keeps readers out until the end of the transaction.
DROP INDEX findings_words;
