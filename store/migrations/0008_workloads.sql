-- Workloads that verdicts stand for, by what is found on them and accepted by nobody. rank is below zero, the
-- further the more there is: a critical finding counts for 2^42 and 1, a high one for 2^21 and 1, others for 1.
-- Triggers keep it, so that an older release does so too.
CREATE TABLE workloads (
    cluster   {int} NOT NULL,
    namespace {text} NOT NULL,
    kind      {text} NOT NULL,
    name      {text} NOT NULL,
    rank      {int} NOT NULL,
    PRIMARY KEY (cluster, namespace, kind, name)
);
INSERT INTO workloads (cluster, namespace, kind, name, rank) SELECT v.cluster, v.namespace, v.kind, v.name,
    (SELECT -(count(CASE f.severity WHEN 5 THEN 1 END) * 4398046511104 + count(CASE f.severity WHEN 4 THEN 1 END) * 2097152 + count(*)) FROM findings f
    WHERE f.cluster = v.cluster AND f.gone = 0 AND f.namespace = v.namespace AND f.kind = v.kind AND f.name = v.name AND f.waived = 0)
    FROM (SELECT DISTINCT cluster, namespace, kind, name FROM verdicts WHERE scope = 'workload') v;
CREATE INDEX workloads_rank ON workloads (cluster, rank, namespace, kind, name);
CREATE INDEX workloads_namespace ON workloads (cluster, namespace, rank, kind, name);
CREATE INDEX workloads_kind ON workloads (cluster, kind, rank, namespace, name);
CREATE INDEX workloads_name ON workloads (cluster, name, rank, namespace, kind);
