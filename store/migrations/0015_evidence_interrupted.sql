-- Whether evidence of a run was interrupted too, without reading the rows.
CREATE INDEX evidence_of_runs ON evidence (cluster, control, experiment, seq, namespace, run, at, held, tried, broken, inconclusive, interrupted);
DROP INDEX evidence_runs;
