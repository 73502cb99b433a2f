CREATE TRIGGER workloads_findings_added AFTER INSERT ON findings WHEN new.gone = 0 AND new.waived = 0 BEGIN
    UPDATE workloads SET rank = rank - CASE new.severity WHEN 5 THEN 4398046511105 WHEN 4 THEN 2097153 ELSE 1 END WHERE workloads.cluster = new.cluster AND workloads.namespace = new.namespace AND workloads.kind = new.kind AND workloads.name = new.name;
END;
CREATE TRIGGER workloads_findings_changed AFTER UPDATE OF gone, waived, severity ON findings WHEN old.gone <> new.gone OR old.waived <> new.waived OR old.severity <> new.severity BEGIN
    UPDATE workloads SET rank = rank + CASE WHEN old.gone = 0 AND old.waived = 0 THEN CASE old.severity WHEN 5 THEN 4398046511105 WHEN 4 THEN 2097153 ELSE 1 END ELSE 0 END
        - CASE WHEN new.gone = 0 AND new.waived = 0 THEN CASE new.severity WHEN 5 THEN 4398046511105 WHEN 4 THEN 2097153 ELSE 1 END ELSE 0 END WHERE workloads.cluster = new.cluster AND workloads.namespace = new.namespace AND workloads.kind = new.kind AND workloads.name = new.name;
END;
CREATE TRIGGER workloads_findings_removed AFTER DELETE ON findings WHEN old.gone = 0 AND old.waived = 0 BEGIN
    UPDATE workloads SET rank = rank + CASE old.severity WHEN 5 THEN 4398046511105 WHEN 4 THEN 2097153 ELSE 1 END WHERE workloads.cluster = old.cluster AND workloads.namespace = old.namespace AND workloads.kind = old.kind AND workloads.name = old.name;
END;
CREATE TRIGGER workloads_verdicts_added AFTER INSERT ON verdicts WHEN new.scope = 'workload' BEGIN
    INSERT INTO workloads (cluster, namespace, kind, name, rank) SELECT new.cluster, new.namespace, new.kind, new.name,
        (SELECT -(count(CASE f.severity WHEN 5 THEN 1 END) * 4398046511104 + count(CASE f.severity WHEN 4 THEN 1 END) * 2097152 + count(*)) FROM findings f
        WHERE f.cluster = new.cluster AND f.gone = 0 AND f.namespace = new.namespace AND f.kind = new.kind AND f.name = new.name AND f.waived = 0)
        WHERE NOT EXISTS (SELECT 1 FROM workloads WHERE workloads.cluster = new.cluster AND workloads.namespace = new.namespace AND workloads.kind = new.kind AND workloads.name = new.name);
END;
CREATE TRIGGER workloads_verdicts_removed AFTER DELETE ON verdicts WHEN old.scope = 'workload' BEGIN
    DELETE FROM workloads WHERE workloads.cluster = old.cluster AND workloads.namespace = old.namespace AND workloads.kind = old.kind AND workloads.name = old.name
        AND NOT EXISTS (SELECT 1 FROM verdicts v WHERE v.cluster = old.cluster AND v.namespace = old.namespace AND v.kind = old.kind AND v.name = old.name AND v.scope = 'workload');
END;
