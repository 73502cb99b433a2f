-- Findings that are open and accepted by nobody, by cluster: a hub sorts hundreds of clusters by them. Triggers keep it,
-- so that an older release does so too. Only groups in which nothing is open are deleted.
CREATE TABLE cluster_findings (
    cluster  {int} NOT NULL,
    control  {text} NOT NULL,
    severity {int} NOT NULL,
    open     {int} NOT NULL,
    PRIMARY KEY (cluster, control, severity)
);
INSERT INTO cluster_findings (cluster, control, severity, open) SELECT cluster, control, severity, sum(open - waived) FROM finding_groups WHERE level = 1 GROUP BY cluster, control, severity;
CREATE INDEX cluster_findings_open ON cluster_findings (cluster, severity, control, open);
