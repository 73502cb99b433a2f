-- The lowest rungs of namespaces, and the changes of one control, without reading the others.
CREATE INDEX rungs_lowest ON rungs (cluster, namespace, control, rung) WHERE verdicts > 0;
CREATE INDEX rung_changes_control ON rung_changes (cluster, control, seq);
