package config

import "time"

// Maintenance is about deleting what has expired. Package maintenance does it, the rules are in sql/functions/maintenance.
type Maintenance struct {
	Enabled                 bool          `env:"POSTERN_MAINTENANCE_ENABLED" envDefault:"true" desc:"Delete what has expired, in the background; of several servers on a database one does it."`
	Interval                time.Duration `env:"POSTERN_MAINTENANCE_INTERVAL" envDefault:"1h" desc:"Time between two passes of maintenance."`
	RetentionAnonymousUsers time.Duration `env:"POSTERN_RETENTION_ANONYMOUS_USERS" envDefault:"720h" desc:"Anonymous users are deleted when nobody has used them for this long and GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED is true; 0 keeps them."`
	RetentionDeletedUsers   time.Duration `env:"POSTERN_RETENTION_DELETED_USERS" envDefault:"0s" desc:"Users who were deleted softly are deleted for good after this time; 0 keeps what is left of them. See postern.purge_deleted() in docs/sql.md."`
	RetentionAudit          time.Duration `env:"POSTERN_RETENTION_AUDIT" envDefault:"0s" desc:"Audit entries are deleted after this time; 0 keeps them."`
	RetentionEvents         time.Duration `env:"POSTERN_RETENTION_EVENTS" envDefault:"0s" desc:"Events (table postern.events) are deleted after this time, by whole months; 0 keeps them."`
	RetentionSessionEnds    time.Duration `env:"POSTERN_RETENTION_SESSION_ENDS" envDefault:"8760h" desc:"How long postern.why_signed_out() remembers ended sessions; 0 means for ever."`
}

func (m *Maintenance) check(l *loader) {
	if m.Interval < time.Minute {
		l.fail("POSTERN_MAINTENANCE_INTERVAL", "must be 1m or longer; POSTERN_MAINTENANCE_ENABLED=false switches maintenance off")
	}
	for _, limit := range []struct {
		name string
		d    time.Duration
	}{
		{"POSTERN_RETENTION_ANONYMOUS_USERS", m.RetentionAnonymousUsers},
		{"POSTERN_RETENTION_DELETED_USERS", m.RetentionDeletedUsers},
		{"POSTERN_RETENTION_AUDIT", m.RetentionAudit},
		{"POSTERN_RETENTION_EVENTS", m.RetentionEvents},
		{"POSTERN_RETENTION_SESSION_ENDS", m.RetentionSessionEnds},
	} {
		if limit.d < 0 || limit.d > 0 && limit.d < time.Hour {
			l.fail(limit.name, "must be 0 for no end, or 1h or longer")
		}
	}
}

// Retention returns in seconds how long things are kept, as SQL reads it (sql/functions/core/context.sql): audit, events,
// session_ends, deleted_users and anonymous_users, which are missing where there is no end, and tokens, the longest life of a code.
func (c *Config) Retention() map[string]float64 {
	m := map[string]float64{"tokens": float64(max(c.Mailer.OTPExp, c.SMS.OTPExp))}
	for key, d := range map[string]time.Duration{
		"audit": c.Maintenance.RetentionAudit, "events": c.Maintenance.RetentionEvents,
		"session_ends": c.Maintenance.RetentionSessionEnds, "deleted_users": c.Maintenance.RetentionDeletedUsers,
	} {
		if d > 0 {
			m[key] = d.Seconds()
		}
	}
	if d := c.Maintenance.RetentionAnonymousUsers; d > 0 && c.External.AnonymousUsersEnabled {
		m["anonymous_users"] = d.Seconds()
	}
	return m
}

// IndexWorker is about the indexes that searches for users need. Package indexworker makes them.
type IndexWorker struct {
	EnsureUserSearchIndexesExist bool `env:"GOTRUE_INDEX_WORKER_ENSURE_USER_SEARCH_INDEXES_EXIST" envDefault:"false" desc:"Make the indexes of auth.users that searches use, in the background after the start."`
	MaxUsersThreshold            int  `env:"GOTRUE_INDEX_WORKER_MAX_USERS_THRESHOLD" envDefault:"0" desc:"Make them while there are at most this many users by the planner's estimate; 0 means never."`
}

func (i *IndexWorker) check(l *loader) {
	if i.MaxUsersThreshold < 0 {
		l.fail("GOTRUE_INDEX_WORKER_MAX_USERS_THRESHOLD", "must be a number of users, 0 or more")
	}
}
