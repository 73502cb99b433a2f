CREATE TRIGGER waivers_added AFTER INSERT ON waivers BEGIN
    UPDATE waivers SET ends = coalesce(new.removed_at / 1000000000, unixepoch(json_extract(new.doc, '$.expires')), 0) WHERE cluster = new.cluster AND id = new.id;
END;
CREATE TRIGGER waivers_changed AFTER UPDATE OF removed_at, doc ON waivers BEGIN
    UPDATE waivers SET ends = coalesce(new.removed_at / 1000000000, unixepoch(json_extract(new.doc, '$.expires')), 0) WHERE cluster = new.cluster AND id = new.id;
END;
UPDATE waivers SET doc = doc;
CREATE INDEX waivers_ends ON waivers (cluster, ends, seq);
CREATE INDEX waivers_namespace_ends ON waivers (cluster, namespace, ends, seq);
DROP INDEX waivers_namespace;
