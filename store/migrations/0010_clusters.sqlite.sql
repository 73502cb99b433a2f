CREATE TRIGGER cluster_findings_added AFTER INSERT ON finding_groups WHEN new.level = 1 BEGIN
    INSERT INTO cluster_findings (cluster, control, severity, open) SELECT new.cluster, new.control, new.severity, 0
        WHERE NOT EXISTS (SELECT 1 FROM cluster_findings c WHERE c.cluster = new.cluster AND c.control = new.control AND c.severity = new.severity);
    UPDATE cluster_findings SET open = open + new.open - new.waived WHERE cluster = new.cluster AND control = new.control AND severity = new.severity;
END;
CREATE TRIGGER cluster_findings_changed AFTER UPDATE OF open, waived ON finding_groups WHEN new.level = 1 AND new.open - new.waived <> old.open - old.waived BEGIN
    UPDATE cluster_findings SET open = open + new.open - new.waived - old.open + old.waived WHERE cluster = new.cluster AND control = new.control AND severity = new.severity;
END;
