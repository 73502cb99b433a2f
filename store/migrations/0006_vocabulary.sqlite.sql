CREATE VIRTUAL TABLE finding_vocabulary USING fts5vocab(finding_words, instance);
