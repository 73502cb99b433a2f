-- What the runs of an experiment add up to, and which of its evidence is of some namespaces, without reading the rows.
CREATE INDEX evidence_runs ON evidence (cluster, control, experiment, seq, namespace, run, at, held, tried, broken, inconclusive);
DROP INDEX evidence_experiment;
