CREATE FUNCTION waivers_ends() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    new.ends := coalesce(new.removed_at / 1000000000, floor(extract(epoch FROM (new.doc::json ->> 'expires')::timestamptz))::bigint, 0);
    RETURN new;
END $$;
CREATE TRIGGER waivers_ends BEFORE INSERT OR UPDATE ON waivers FOR EACH ROW EXECUTE FUNCTION waivers_ends();
UPDATE waivers SET doc = doc;
CREATE INDEX waivers_ends ON waivers (cluster, ends, seq);
CREATE INDEX waivers_namespace_ends ON waivers (cluster, namespace, ends, seq);
DROP INDEX waivers_namespace;
