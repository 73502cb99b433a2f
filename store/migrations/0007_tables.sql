-- Alerts by what tables of them are narrowed and sorted by.
CREATE INDEX alerts_kind ON alerts (cluster, kind, seq);
CREATE INDEX alerts_severity ON alerts (cluster, severity, seq);
CREATE INDEX alerts_open_severity ON alerts (cluster, severity, seq) WHERE resolved_at IS NULL;
