-- The words of findings, for search by their beginnings.
CREATE INDEX findings_words ON findings USING gin (array_to_tsvector(string_to_array(words, ' ')));
