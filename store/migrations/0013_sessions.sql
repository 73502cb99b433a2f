-- Who has logged in: rows that only the browser's cookie tells apart and opens. They are of no cluster.
CREATE TABLE sessions (
    id      {text} NOT NULL PRIMARY KEY,
    until   {int} NOT NULL,
    claimed {int} NOT NULL,
    version {int} NOT NULL,
    sealed  {text} NOT NULL
);
CREATE INDEX sessions_until ON sessions (until, id);
