-- Findings that a waiver takes in, without those that the baseline accepts, which may be all others: both are
-- waived, and only the document tells them apart.
CREATE INDEX findings_by_waiver ON findings (cluster, gone, severity, opened) WHERE waived = 1 AND replace(doc, '"waiver":', '') <> doc;
