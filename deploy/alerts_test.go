package deploy_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// well is what Prometheus reads, minute by minute and for a day, of two replicas of which one leads, while all is well:
// series as promtool's tests of rules have them.
var well = map[string]string{
	`bailey_build_info{pod="a",version="1"}`: "1x1600", `bailey_build_info{pod="b",version="1"}`: "1x1600",
	`bailey_leads{pod="a"}`: "1x1600", `bailey_leads{pod="b"}`: "0x1600",
	`bailey_objects{pod="a"}`: "1000x1600", `bailey_objects{pod="b"}`: "1000x1600",
	`bailey_out_of_sight_seconds{pod="a"}`: "0x1600", `bailey_out_of_sight_seconds{pod="b"}`: "0x1600",
	`bailey_report_timestamp_seconds{pod="a"}`: "0+60x1600", `bailey_report_timestamp_seconds{pod="b"}`: "0+60x1600",
	`bailey_kept_timestamp_seconds{pod="a"}`: "0+60x1600", `bailey_kept_timestamp_seconds{pod="b"}`: "0x1600",
	`bailey_facts_seen_ratio{pod="a"}`: "0.95x1600", `bailey_facts_seen_ratio{pod="b"}`: "0.95x1600",
	`bailey_findings{pod="a",severity="critical"}`: "0x1600", `bailey_findings{pod="b",severity="critical"}`: "0x1600", `bailey_findings{pod="a",severity="high"}`: "12x1600",
	`bailey_control_rung{control="compute/pod-security",pod="a"}`: "2x60 4x1500", `bailey_control_rung{control="compute/pod-security",pod="b"}`: "2x61 4x1500",
	`bailey_control_rung{control="access/tls",pod="a"}`:     "0x1600",
	`bailey_change_judged_seconds_bucket{le="0.1",pod="a"}`: "0+99x1600", `bailey_change_judged_seconds_bucket{le="1",pod="a"}`: "0+100x1600",
	`bailey_change_judged_seconds_bucket{le="2.5",pod="a"}`: "0+100x1600", `bailey_change_judged_seconds_bucket{le="+Inf",pod="a"}`: "0+100x1600",
	`bailey_alerts_failing_since_timestamp_seconds{pod="a",receiver="webhook"}`: "0x1600", `bailey_alerts_failing_since_timestamp_seconds{pod="b",receiver="webhook"}`: "0x1600",
	`bailey_alerts_refused_total{pod="a",receiver="webhook"}`: "0x1600", `bailey_alerts_refused_total{pod="b",receiver="webhook"}`: "0x1600",
	`bailey_ledger_damaged{pod="a"}`: "0x1600", `bailey_ledger_damaged{pod="b"}`: "0x1600",
	`bailey_audit_unread{pod="a"}`: "0x1600", `bailey_audit_unread{pod="b"}`: "0x1600",
	`bailey_http_request_seconds_count{area="page",pod="a",status="2xx"}`:  "0+60x1600",
	`bailey_http_request_seconds_count{area="page",pod="a",status="5xx"}`:  "0x1600",
	`bailey_http_request_seconds_count{area="other",pod="a",status="5xx"}`: "0x1600",
}

// alertCase is what is read beside, and in the place of, what is read while all is well.
type alertCase struct {
	what   string
	series map[string]string
	down   bool // nothing else is read at all
	// alert is the one that fires, with labels and a value, at fires; none does if it is empty. None does at quiet.
	alert, quiet, fires string
	labels              map[string]string
	value               string
}

// scraped are the labels of every series.
var scraped = map[string]string{"job": "bailey/bailey", "namespace": "bailey"}

var alertCases = []alertCase{
	{what: "all is well", quiet: "2m"},
	{what: "all is well after an hour and a half", quiet: "90m"},
	{what: "all is well after a day", quiet: "26h"},
	{what: "one of two replicas does not see the cluster", alert: "BaileyOutOfSight", quiet: "16m", fires: "17m",
		series: map[string]string{`bailey_out_of_sight_seconds{pod="b"}`: "0x9 0+60x100"}},
	{what: "the cluster was out of sight for six minutes", quiet: "17m", series: map[string]string{`bailey_out_of_sight_seconds{pod="a"}`: "0x9 0+60x6 0x100"}},
	{what: "no report is made any more", alert: "BaileyReportOld", quiet: "75m", fires: "76m",
		series: map[string]string{`bailey_report_timestamp_seconds{pod="a"}`: "0+60x10 600x100", `bailey_report_timestamp_seconds{pod="b"}`: "0+60x10 600x100"}},
	{what: "no object is watched", quiet: "3h", series: map[string]string{`bailey_report_timestamp_seconds{pod="a"}`: "0x1000", `bailey_report_timestamp_seconds{pod="b"}`: "0x1000",
		`bailey_objects{pod="a"}`: "0x1000", `bailey_objects{pod="b"}`: "0x1000"}},
	{what: "one of two replicas makes reports", quiet: "3h", series: map[string]string{`bailey_report_timestamp_seconds{pod="b"}`: "0+60x10 600x1000"}},
	{what: "nothing is kept any more", alert: "BaileyNotKept", quiet: "25m", fires: "26m", labels: scraped,
		series: map[string]string{`bailey_kept_timestamp_seconds{pod="a"}`: "0+60x10 600x100"}},
	{what: "when anything was kept is not known yet", quiet: "3h", series: map[string]string{`bailey_kept_timestamp_seconds{pod="a"}`: "0x1000"}},
	{what: "the other replica leads, and keeps", quiet: "3h", series: map[string]string{
		`bailey_kept_timestamp_seconds{pod="a"}`: "0+60x10 600x1000", `bailey_kept_timestamp_seconds{pod="b"}`: "0x10 660+60x1000",
		`bailey_leads{pod="a"}`: "1x10 0x1000", `bailey_leads{pod="b"}`: "0x10 1x1000"}},
	{what: "no Bailey runs", alert: "BaileyAbsent", quiet: "4m", fires: "5m", down: true},
	{what: "none leads", alert: "BaileyLeaderless", quiet: "12m", fires: "13m", labels: scraped, value: "0",
		series: map[string]string{`bailey_leads{pod="a"}`: "1x10 0x100"}},
	{what: "two lead", alert: "BaileyLeaderless", quiet: "12m", fires: "13m", labels: scraped, value: "2",
		series: map[string]string{`bailey_leads{pod="b"}`: "0x10 1x100"}},
	{what: "findings are critical", alert: "BaileyCriticalFindings", quiet: "20m", fires: "21m", value: "3",
		series: map[string]string{`bailey_findings{pod="a",severity="critical"}`: "0x10 3x100"}},
	{what: "a control fell", alert: "BaileyControlFell", quiet: "30m", fires: "31m", labels: map[string]string{"control": "compute/pod-security"}, value: "1", series: fell("3x20 1x100")},
	{what: "a control fell and rose", quiet: "31m", series: fell("3x20 1x8 3x100")},
	{what: "a control fell more than an hour ago", quiet: "81m", series: fell("3x20 1x100")},
	{what: "one of two replicas takes a control for lower for a moment", quiet: "31m", series: map[string]string{`bailey_control_rung{control="compute/pod-security",pod="b"}`: "1x100"}},
	{what: "less is seen", alert: "BaileySeesLess", quiet: "60m", fires: "61m", series: map[string]string{`bailey_facts_seen_ratio{pod="b"}`: "0.95x30 0.7x100"}},
	{what: "less is seen for half a day", alert: "BaileySeesLess", quiet: "60m", fires: "12h", series: map[string]string{`bailey_facts_seen_ratio{pod="b"}`: "0.95x30 0.7x1000"}},
	{what: "a replica sees less from its start", alert: "BaileySeesLess", quiet: "29m", fires: "30m", series: map[string]string{`bailey_facts_seen_ratio{pod="b"}`: "0.7x100"}},
	{what: "a little less is seen", quiet: "3h", series: map[string]string{`bailey_facts_seen_ratio{pod="b"}`: "0.95x30 0.8x1000"}},
	{what: "changes are judged late", alert: "BaileySlow", quiet: "15m", fires: "16m",
		series: map[string]string{`bailey_change_judged_seconds_bucket{le="0.1",pod="a"}`: "0+90x100", `bailey_change_judged_seconds_bucket{le="1",pod="a"}`: "0+98x100"}},
	{what: "nothing changes", quiet: "3h", series: map[string]string{`bailey_change_judged_seconds_bucket{le="0.1",pod="a"}`: "9x1000", `bailey_change_judged_seconds_bucket{le="1",pod="a"}`: "9x1000",
		`bailey_change_judged_seconds_bucket{le="2.5",pod="a"}`: "10x1000", `bailey_change_judged_seconds_bucket{le="+Inf",pod="a"}`: "10x1000"}},
	{what: "no alert is delivered", alert: "BaileyAlertsUndelivered", quiet: "16m", fires: "17m", labels: map[string]string{"receiver": "webhook"},
		series: map[string]string{`bailey_alerts_failing_since_timestamp_seconds{pod="a",receiver="webhook"}`: "0x4 300x100"}},
	{what: "an alert is refused", alert: "BaileyAlertsRefused", quiet: "10m", fires: "11m", labels: map[string]string{"receiver": "webhook"},
		series: map[string]string{`bailey_alerts_refused_total{pod="a",receiver="webhook"}`: "0x10 1x100"}},
	{what: "an alert was refused an hour ago", alert: "BaileyAlertsRefused", quiet: "10m", fires: "70m", labels: map[string]string{"receiver": "webhook"},
		series: map[string]string{`bailey_alerts_refused_total{pod="a",receiver="webhook"}`: "0x10 1x100"}},
	{what: "an alert was refused more than an hour ago", quiet: "72m", series: map[string]string{`bailey_alerts_refused_total{pod="a",receiver="webhook"}`: "0x10 1x100"}},
	{what: "the ledger is damaged", alert: "BaileyLedgerDamaged", quiet: "11m", fires: "12m", series: map[string]string{`bailey_ledger_damaged{pod="a"}`: "0x10 1x100"}},
	{what: "the audit log is not read", alert: "BaileyAuditUnread", quiet: "15m", fires: "16m", series: map[string]string{`bailey_audit_unread{pod="a"}`: "0x10 1x100"}},
	{what: "requests fail", alert: "BaileyErrors", quiet: "15m", fires: "16m", series: map[string]string{`bailey_http_request_seconds_count{area="page",pod="a",status="5xx"}`: "0+6x100"}},
	{what: "it says that it is not ready", quiet: "3h", series: map[string]string{`bailey_http_request_seconds_count{area="other",pod="a",status="5xx"}`: "0+6x1000"}},
}

// fell are the series of a control that both replicas see stand so.
func fell(values string) map[string]string {
	return map[string]string{`bailey_control_rung{control="compute/pod-security",pod="a"}`: values, `bailey_control_rung{control="compute/pod-security",pod="b"}`: values}
}

// alertRule is a rule as Prometheus has it.
type alertRule struct {
	Alert       string
	Labels      map[string]string
	Annotations map[string]string
}

// TestAlerts has Prometheus' own tool check the alert rules as the chart renders them, and try each: it fires when it
// should and not before, says what it should, and no other fires; and none does while all is well.
func TestAlerts(t *testing.T) {
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Skip("no promtool is here: make packages")
	}
	dir := t.TempDir()
	promtool := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "promtool", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	write := func(name string, data any) {
		t.Helper()
		text, err := json.Marshal(data) // which is YAML
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var spec map[string]any
	for _, o := range rendered(t, map[string]any{"image": image, "monitoring": map[string]any{"prometheusRule": true}}) {
		if o.GetKind() == "PrometheusRule" {
			spec, _ = o.Object["spec"].(map[string]any)
		}
	}
	var plain map[string]any
	if err := yaml.Unmarshal([]byte(readChart(t, "files/alerts.yaml")), &plain); err != nil || len(plain) == 0 || !reflect.DeepEqual(plain, spec) {
		t.Fatalf("the chart renders other rules than its file has: %v\n%v\n%v", err, spec, plain)
	}
	write("rules.yaml", spec)
	promtool("check", "rules", "--lint-fatal", "rules.yaml")

	var file struct{ Groups []struct{ Rules []alertRule } }
	if err := yaml.Unmarshal([]byte(readChart(t, "files/alerts.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	rules := map[string]alertRule{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			rules[r.Alert] = r
		}
	}
	tried := map[string]bool{}
	var tests []any
	for _, c := range alertCases {
		if c.alert != "" && rules[c.alert].Alert == "" {
			t.Fatalf("there is no alert %s", c.alert)
		}
		tried[c.alert] = true
		tests = append(tests, c.test(rules))
	}
	for name := range rules {
		if !tried[name] {
			t.Errorf("the alert %s is not tried", name)
		}
	}
	write("tests.yaml", map[string]any{"rule_files": []string{"rules.yaml"}, "evaluation_interval": "1m", "tests": tests})
	promtool("test", "rules", "tests.yaml")
}

// test is the case as a test of promtool's.
func (c *alertCase) test(rules map[string]alertRule) any {
	type series struct {
		Series string `json:"series"`
		Values string `json:"values"`
	}
	type looked struct {
		At    string  `json:"eval_time"`
		Alert string  `json:"alertname"`
		Fired []fired `json:"exp_alerts"`
	}
	read := map[string]string{}
	if !c.down {
		maps.Copy(read, well)
	}
	maps.Copy(read, c.series)
	var in []series
	for _, name := range slices.Sorted(maps.Keys(read)) {
		in = append(in, series{strings.Replace(name, "{", fmt.Sprintf("{job=%q,namespace=%q,", scraped["job"], scraped["namespace"]), 1), read[name]})
	}
	var looks []looked
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		looks = append(looks, looked{c.quiet, name, nil})
		if c.fires == "" {
			continue
		}
		at := looked{At: c.fires, Alert: name}
		if name == c.alert {
			at.Fired = []fired{c.told(rules[name])}
		}
		looks = append(looks, at)
	}
	return map[string]any{"name": c.what, "interval": "1m", "input_series": in, "alert_rule_test": looks}
}

// fired is an alert that fires, as promtool's tests name one.
type fired struct {
	Labels      map[string]string `json:"exp_labels"`
	Annotations map[string]string `json:"exp_annotations"`
}

// told is what the case's alert tells.
func (c *alertCase) told(rule alertRule) fired {
	labels := maps.Clone(rule.Labels)
	maps.Copy(labels, c.labels)
	fill := []string{"{{ $value }}", c.value}
	for name, value := range c.labels {
		fill = append(fill, "{{ $labels."+name+" }}", value)
	}
	texts := map[string]string{}
	for name, text := range rule.Annotations {
		texts[name] = strings.NewReplacer(fill...).Replace(text)
	}
	return fired{labels, texts}
}
