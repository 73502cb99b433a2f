-- Whoever writes a cluster's history does so in a term; one that began later ends it.
ALTER TABLE clusters ADD COLUMN term {int} NOT NULL DEFAULT 0;
