package storage

import (
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/controls/internal/settings"
	"github.com/baileyhq/bailey/derive/workload"
)

var backupsRules = []*bailey.Rule{backupStopped, backupStoreOpen}

const (
	veleroSchedule bailey.Kind = "Schedule.velero.io"
	veleroStore    bailey.Kind = "BackupStorageLocation.velero.io"
)

var veleroDocs = ref.Page("Velero documentation", "Backup Reference", "https://velero.io/docs/main/backup-reference/")

// backupCommands are what a container runs that makes a backup.
var backupCommands = []string{"etcdctl snapshot save", "velero backup create", "pg_dump", "pg_basebackup", "mysqldump", "mariadb-dump", "mongodump", "restic backup", "borg create"}

// backsUp gives the command by which a job makes a backup; "" where it makes none that is known.
func backsUp(f *bailey.Fact) string {
	w, ok := workload.Of(f)
	if !ok {
		return ""
	}
	for c := range w.Containers() {
		line := strings.Join(append(slices.Clone(c.Command), c.Args...), " ")
		for _, command := range backupCommands {
			if strings.Contains(line, command) {
				return command
			}
		}
	}
	return ""
}

var backupStopped = &bailey.Rule{
	Name:  "backup-stopped",
	Title: "A backup is switched off",
	Doc: `Reads Velero's Schedules that are paused, and suspended CronJobs whose containers make a backup (etcdctl snapshot save,
pg_dump, mysqldump, mongodump, restic and others, by their command). What was once thought worth a backup has had none
since. Whether there are backups at all no object says: they may be made outside of the cluster. A command within a
shell's script is not kept in a scan, and not found.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{veleroDocs, ref.NIST("CP-9"), ref.ATTACK("T1490")},
	On:       []bailey.Kind{veleroSchedule, bailey.KindCronJob},
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		if job, ok := bailey.As[*batchv1.CronJob](f); ok {
			command := ""
			if job.Spec.Suspend != nil && *job.Spec.Suspend {
				command = backsUp(f)
			}
			if command == "" {
				return nil
			}
			return []bailey.Finding{{Field: "spec.suspend", Message: "makes no backup any more: the job with " + command + " is suspended"}}
		}
		object, _ := f.Object.(map[string]any)
		if settings.Map(object["spec"])["paused"] != true {
			return nil
		}
		return []bailey.Finding{{Field: "spec.paused", Message: "makes no backup any more: it is paused"}}
	},
	Fix: func(_ *bailey.View, f *bailey.Fact, finding bailey.Finding) []bailey.Change {
		return []bailey.Change{{Object: f.Ref, APIVersion: f.APIVersion, Note: "find out first why it was stopped",
			Patch: []bailey.PatchOp{{Op: "replace", Path: "/" + strings.ReplaceAll(finding.Field, ".", "/"), Value: false}}}}
	},
	Bad: []string{`apiVersion: velero.io/v1
kind: Schedule
metadata: {name: bad, namespace: velero}
spec: {paused: true, schedule: "0 1 * * *", template: {}}
`, `apiVersion: batch/v1
kind: CronJob
metadata: {name: bad, namespace: shop}
spec: {suspend: true, schedule: "0 1 * * *", jobTemplate: {spec: {template: {spec: {containers: [{name: c, image: "postgres:17", command: [pg_dump, shop]}]}}}}}
`},
}

var backupStoreOpen = &bailey.Rule{
	Name:  "backup-store-unverified",
	Title: "Backups travel to a store that is not verified",
	Doc: `Reads Velero's BackupStorageLocations for insecureSkipTLSVerify and for an s3Url in plain text. A backup holds every
Secret, and one that somebody changed on the way is what is restored.`,
	Severity: bailey.SeverityHigh,
	Refs:     []bailey.Reference{veleroDocs, ref.NIST("CP-9"), ref.NIST("SC-8"), ref.CNCF(335, "Backups are guarded as the data are")},
	On:       []bailey.Kind{veleroStore},
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		object, _ := f.Object.(map[string]any)
		config := settings.Map(settings.Map(object["spec"])["config"])
		if config["insecureSkipTLSVerify"] == "true" {
			return []bailey.Finding{{Field: "spec.config.insecureSkipTLSVerify", Message: "sends backups to whoever answers"}}
		}
		if url, _ := config["s3Url"].(string); strings.HasPrefix(url, "http://") {
			return []bailey.Finding{{Field: "spec.config.s3Url", Message: "sends backups in plain text to " + url}}
		}
		return nil
	},
	Bad: []string{`apiVersion: velero.io/v1
kind: BackupStorageLocation
metadata: {name: bad, namespace: velero}
spec: {provider: aws, objectStorage: {bucket: b}, config: {s3Url: "http://minio.velero.svc:9000"}}
`},
}
