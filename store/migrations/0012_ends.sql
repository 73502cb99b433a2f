-- When each waiver ends, or was ended, in whole seconds since 1970: what counts and what ended last is read without
-- the rest. Triggers keep it, so that an older release does so too.
ALTER TABLE waivers ADD COLUMN ends {int} NOT NULL DEFAULT 0;
