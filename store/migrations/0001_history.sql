-- Integers hold times as nanoseconds since 1970 and truth as 0 or 1. "seq" counts the
-- changes of one cluster and never goes back, whatever the clock does; "high" is the latest
-- time that any change up to that one bore.

CREATE TABLE clusters (
    n         {int} NOT NULL PRIMARY KEY,
    uid       {text} NOT NULL UNIQUE,
    name      {text} NOT NULL,
    token     {text},
    first_at  {int} NOT NULL,
    last_at   {int} NOT NULL,
    heard_at  {int} NOT NULL,
    judged_at {int} NOT NULL,
    seq       {int} NOT NULL,
    high      {int} NOT NULL
);
CREATE UNIQUE INDEX clusters_token ON clusters (token) WHERE token IS NOT NULL;

-- The store itself: what was done in Bailey that is of no cluster.
INSERT INTO clusters (n, uid, name, first_at, last_at, heard_at, judged_at, seq, high) VALUES (0, '', '', 0, 0, 0, 0, 0, 0);

-- Counts of findings. level 0 is what findings point at; 1 adds up the namespaces and
-- 2 the rules and kinds of a namespace, so that no page has to count.
CREATE TABLE finding_groups (
    n         {int} NOT NULL PRIMARY KEY,
    cluster   {int} NOT NULL,
    level     {int} NOT NULL,
    namespace {text} NOT NULL,
    control   {text} NOT NULL,
    rule      {text} NOT NULL,
    kind      {text} NOT NULL,
    severity  {int} NOT NULL,
    open      {int} NOT NULL,
    waived    {int} NOT NULL,
    gone      {int} NOT NULL
);
CREATE UNIQUE INDEX finding_groups_key ON finding_groups (cluster, level, namespace, control, rule, kind, severity);
CREATE INDEX finding_groups_rule ON finding_groups (cluster, level, rule);

CREATE TABLE findings (
    n         {rowid},
    cluster   {int} NOT NULL,
    id        {text} NOT NULL,
    grp       {int} NOT NULL,
    control   {text} NOT NULL,
    rule      {text} NOT NULL,
    severity  {int} NOT NULL,
    namespace {text} NOT NULL,
    kind      {text} NOT NULL,
    name      {text} NOT NULL,
    cause     {text},
    gone      {int} NOT NULL,
    waived    {int} NOT NULL,
    opened    {int} NOT NULL,
    first_at  {int} NOT NULL,
    opened_at {int} NOT NULL,
    last_at   {int},
    gone_at   {int},
    gone_seq  {int},
    times     {int} NOT NULL,
    hash      {int} NOT NULL,
    words     {text} NOT NULL,
    doc       {text} NOT NULL
);
CREATE UNIQUE INDEX findings_id ON findings (cluster, id);
CREATE INDEX findings_severity ON findings (cluster, gone, severity, opened);
CREATE INDEX findings_namespace ON findings (cluster, gone, namespace, severity, opened);
CREATE INDEX findings_rule ON findings (cluster, gone, rule, severity, opened);
CREATE INDEX findings_group ON findings (grp, gone, opened);
CREATE INDEX findings_object ON findings (cluster, gone, namespace, kind, name, id);
CREATE INDEX findings_cause ON findings (cluster, cause) WHERE cause IS NOT NULL;
CREATE INDEX findings_waived ON findings (cluster, gone, severity, opened) WHERE waived = 1;
CREATE INDEX findings_gone ON findings (cluster, gone_seq) WHERE gone_seq IS NOT NULL;

CREATE TABLE verdicts (
    cluster   {int} NOT NULL,
    control   {text} NOT NULL,
    scope     {text} NOT NULL,
    namespace {text} NOT NULL,
    kind      {text} NOT NULL,
    name      {text} NOT NULL,
    rung      {int} NOT NULL,
    since     {int} NOT NULL,
    seq       {int} NOT NULL,
    seen      {int} NOT NULL,
    needed    {int} NOT NULL,
    findings  {int} NOT NULL,
    hash      {int} NOT NULL,
    doc       {text} NOT NULL,
    PRIMARY KEY (cluster, control, scope, namespace, kind, name)
);
CREATE INDEX verdicts_object ON verdicts (cluster, namespace, kind, name);
CREATE INDEX verdicts_name ON verdicts (cluster, name, namespace, kind);

-- Counts of verdicts by rung; namespace '*' adds up all of them.
CREATE TABLE rungs (
    cluster   {int} NOT NULL,
    namespace {text} NOT NULL,
    control   {text} NOT NULL,
    scope     {text} NOT NULL,
    rung      {int} NOT NULL,
    verdicts  {int} NOT NULL,
    PRIMARY KEY (cluster, namespace, control, scope, rung)
);

-- NULL in old_rung: the scope appeared; in new_rung: it went.
CREATE TABLE rung_changes (
    cluster   {int} NOT NULL,
    seq       {int} NOT NULL,
    at        {int} NOT NULL,
    control   {text} NOT NULL,
    scope     {text} NOT NULL,
    namespace {text} NOT NULL,
    kind      {text} NOT NULL,
    name      {text} NOT NULL,
    old_rung  {int},
    new_rung  {int},
    why       {text} NOT NULL,
    PRIMARY KEY (cluster, seq)
);
CREATE INDEX rung_changes_scope ON rung_changes (cluster, control, scope, namespace, kind, name, seq);
CREATE INDEX rung_changes_object ON rung_changes (cluster, namespace, kind, name, seq);
CREATE INDEX rung_changes_namespace ON rung_changes (cluster, namespace, seq);

CREATE TABLE evidence (
    cluster      {int} NOT NULL,
    id           {text} NOT NULL,
    seq          {int} NOT NULL,
    at           {int} NOT NULL,
    run          {text} NOT NULL,
    control      {text} NOT NULL,
    experiment   {text} NOT NULL,
    scope        {text} NOT NULL,
    namespace    {text} NOT NULL,
    kind         {text} NOT NULL,
    name         {text} NOT NULL,
    held         {int} NOT NULL,
    tried        {int} NOT NULL,
    broken       {int} NOT NULL,
    inconclusive {int} NOT NULL,
    signer       {text} NOT NULL,
    interrupted  {int} NOT NULL,
    ledger       {int},
    doc          {text} NOT NULL,
    PRIMARY KEY (cluster, id)
);
CREATE UNIQUE INDEX evidence_seq ON evidence (cluster, seq);
CREATE INDEX evidence_experiment ON evidence (cluster, control, experiment, seq);
CREATE INDEX evidence_run ON evidence (cluster, run, seq);
CREATE INDEX evidence_object ON evidence (cluster, namespace, kind, name, seq);

CREATE TABLE runs (
    cluster    {int} NOT NULL,
    id         {text} NOT NULL,
    seq        {int} NOT NULL,
    state      {text} NOT NULL,
    ended      {int},
    doc        {text} NOT NULL,
    PRIMARY KEY (cluster, id)
);
CREATE UNIQUE INDEX runs_seq ON runs (cluster, seq);
CREATE INDEX runs_state ON runs (cluster, state, seq);
CREATE INDEX runs_ended ON runs (cluster, ended) WHERE ended IS NOT NULL;

-- An alert waits for its notifier while changed is over delivered.
CREATE TABLE alerts (
    cluster      {int} NOT NULL,
    id           {text} NOT NULL,
    seq          {int} NOT NULL,
    kind         {text} NOT NULL,
    severity     {int} NOT NULL,
    namespace    {text} NOT NULL,
    object       {text} NOT NULL,
    first_at     {int} NOT NULL,
    last_at      {int} NOT NULL,
    resolved_at  {int},
    delivered_at {int},
    changed      {int} NOT NULL,
    delivered    {int} NOT NULL,
    times        {int} NOT NULL,
    doc          {text} NOT NULL,
    PRIMARY KEY (cluster, id)
);
CREATE UNIQUE INDEX alerts_seq ON alerts (cluster, seq);
CREATE INDEX alerts_namespace ON alerts (cluster, namespace, seq);
CREATE INDEX alerts_object ON alerts (cluster, object, seq);
CREATE INDEX alerts_open ON alerts (cluster, seq) WHERE resolved_at IS NULL;
CREATE INDEX alerts_waiting ON alerts (cluster, changed) WHERE changed > delivered;
CREATE INDEX alerts_resolved ON alerts (cluster, changed) WHERE resolved_at IS NOT NULL;

CREATE TABLE waivers (
    cluster    {int} NOT NULL,
    id         {text} NOT NULL,
    seq        {int} NOT NULL,
    namespace  {text} NOT NULL,
    added_at   {int} NOT NULL,
    removed_at {int},
    removed_by {text} NOT NULL,
    doc        {text} NOT NULL,
    PRIMARY KEY (cluster, id)
);
CREATE UNIQUE INDEX waivers_seq ON waivers (cluster, seq);
CREATE INDEX waivers_namespace ON waivers (cluster, namespace, seq);

CREATE TABLE guards (
    cluster   {int} NOT NULL,
    control   {text} NOT NULL,
    guard     {text} NOT NULL,
    scope     {text} NOT NULL,
    namespace {text} NOT NULL,
    kind      {text} NOT NULL,
    name      {text} NOT NULL,
    seq       {int} NOT NULL,
    stage     {text} NOT NULL,
    drifted   {int} NOT NULL,
    since     {int} NOT NULL,
    doc       {text} NOT NULL,
    PRIMARY KEY (cluster, control, guard, scope, namespace, kind, name)
);
CREATE INDEX guards_namespace ON guards (cluster, namespace);

CREATE TABLE audit (
    cluster {int} NOT NULL,
    seq     {int} NOT NULL,
    at      {int} NOT NULL,
    who     {text} NOT NULL,
    action  {text} NOT NULL,
    target  {text} NOT NULL,
    outcome {text} NOT NULL,
    PRIMARY KEY (cluster, seq)
);
CREATE INDEX audit_who ON audit (cluster, who, seq);

CREATE TABLE changes (
    cluster   {int} NOT NULL,
    seq       {int} NOT NULL,
    at        {int} NOT NULL,
    high      {int} NOT NULL,
    subject   {text} NOT NULL,
    op        {text} NOT NULL,
    namespace {text} NOT NULL,
    severity  {int} NOT NULL,
    id        {text} NOT NULL,
    PRIMARY KEY (cluster, seq)
);
CREATE INDEX changes_namespace ON changes (cluster, namespace, seq);
CREATE INDEX changes_high ON changes (cluster, high, seq);

-- Up to which number changes of a cluster were removed.
CREATE TABLE pruned (
    cluster {int} NOT NULL PRIMARY KEY,
    seq     {int} NOT NULL
);
