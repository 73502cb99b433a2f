-- Evidence of a control, without reading that of the others.
CREATE INDEX evidence_control ON evidence (cluster, control, seq);
