package config

import (
	"log/slog"
	"net"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// API is about the HTTP listener and its requests.
type API struct {
	Host                string        `env:"GOTRUE_API_HOST" desc:"Address to listen on; empty means all interfaces."`
	Port                string        `env:"PORT" long:"GOTRUE_API_PORT" envDefault:"8081" desc:"TCP port to listen on; 0 takes a free one."`
	ExternalURL         string        `env:"API_EXTERNAL_URL,required" long:"GOTRUE_API_API_EXTERNAL_URL" desc:"Public base URL of this server, such as https://auth.example.com; links in mails start with it."`
	MaxRequestDuration  time.Duration `env:"GOTRUE_API_MAX_REQUEST_DURATION" envDefault:"10s" desc:"Time limit of one request, then 504 request_timeout; 0 or less means none."`
	InternalHTTPTimeout time.Duration `env:"GOTRUE_INTERNAL_HTTP_TIMEOUT" envDefault:"10s" desc:"Time limit of a call to an OAuth or text message provider."`
	RequestIDHeader     string        `env:"REQUEST_ID_HEADER" long:"GOTRUE_API_REQUEST_ID_HEADER" desc:"Request header to take the request id from; empty means a random one."`
	CORSAllowedHeaders  []string      `env:"GOTRUE_CORS_ALLOWED_HEADERS" desc:"Request headers that browsers may send besides the usual ones, comma-separated."`
	DisableSignup       bool          `env:"GOTRUE_DISABLE_SIGNUP" envDefault:"false" desc:"Users cannot create accounts; administrators still can."`
}

func (a *API) check(l *loader) {
	if n, err := strconv.Atoi(a.Port); err != nil || n < 0 || n > 65535 {
		l.fail("PORT", "must be a port number from 0 to 65535")
	}
	if a.InternalHTTPTimeout <= 0 {
		l.fail("GOTRUE_INTERNAL_HTTP_TIMEOUT", "must be longer than 0")
	}
	if !isAbsoluteURL(a.ExternalURL) {
		l.fail("API_EXTERNAL_URL", "must be an absolute URL such as https://auth.example.com")
	}
}

// Address returns host:port to listen on.
func (a *API) Address() string { return net.JoinHostPort(a.Host, a.Port) }

// Site is about the application that users come from and return to.
type Site struct {
	URL          string   `env:"GOTRUE_SITE_URL,required" desc:"URL of your application, such as https://app.example.com; users are sent there when no other target is allowed."`
	URIAllowList []string `env:"GOTRUE_URI_ALLOW_LIST" desc:"More redirect targets, comma-separated glob patterns: * stops at . and /, ** does not."`
}

func (s *Site) check(l *loader) {
	if u, err := url.Parse(s.URL); err != nil || s.URL == "" || u.Scheme == "" {
		l.fail("GOTRUE_SITE_URL", "must be an absolute URL such as https://app.example.com")
	}
}

// isAbsoluteURL tells whether text is an http or https URL with a host.
func isAbsoluteURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// Database is about the connection to PostgreSQL.
type Database struct {
	Driver            string        `env:"GOTRUE_DB_DRIVER" envDefault:"postgres" desc:"Always postgres; kept so that existing settings work."`
	URL               Secret        `env:"DATABASE_URL,required" long:"GOTRUE_DB_DATABASE_URL" desc:"Connection string of the database, such as postgres://user:password@host:5432/name?sslmode=require."`
	Namespace         string        `env:"DB_NAMESPACE" long:"GOTRUE_DB_DB_NAMESPACE" envDefault:"auth" desc:"Schema of the tables; only auth is possible."`
	MaxPoolSize       int           `env:"GOTRUE_DB_MAX_POOL_SIZE" envDefault:"0" desc:"Largest number of open connections; 0 means four per core, at least 10."`
	MaxIdlePoolSize   int           `env:"GOTRUE_DB_MAX_IDLE_POOL_SIZE" envDefault:"0" desc:"Connections kept open while idle; 0 means all of them until they are idle too long."`
	ConnPercentage    int           `env:"GOTRUE_DB_CONN_PERCENTAGE" envDefault:"0" desc:"1 to 100: open connections as a share of the max_connections of the database; overrides the pool size."`
	ConnMaxLifetime   time.Duration `env:"GOTRUE_DB_CONN_MAX_LIFETIME" envDefault:"0s" desc:"A connection older than this is replaced; 0 means never."`
	ConnMaxIdleTime   time.Duration `env:"GOTRUE_DB_CONN_MAX_IDLE_TIME" envDefault:"0s" desc:"A connection idle for longer is closed; 0 means never."`
	HealthCheckPeriod time.Duration `env:"GOTRUE_DB_HEALTH_CHECK_PERIOD" envDefault:"0s" desc:"Time between checks of idle connections; 0 means the driver's default of a minute."`
	CleanupEnabled    bool          `env:"GOTRUE_DB_CLEANUP_ENABLED" envDefault:"false" desc:"Accepted: what it switches on is part of maintenance, which is on by default (POSTERN_MAINTENANCE_ENABLED)."`
	AdvisorEnabled    bool          `env:"GOTRUE_DB_ADVISOR_ENABLED" envDefault:"true" desc:"With metrics on, warn in the log when requests wait for connections."`
	AdvisorSampling   time.Duration `env:"GOTRUE_DB_ADVISOR_SAMPLING_INTERVAL" envDefault:"200ms" desc:"Time between two looks at the connections."`
	AdvisorObserving  time.Duration `env:"GOTRUE_DB_ADVISOR_OBSERVATION_INTERVAL" envDefault:"20s" desc:"Time that one piece of advice is about."`
	AuditDisabled     bool          `env:"GOTRUE_AUDIT_LOG_DISABLE_POSTGRES" envDefault:"false" desc:"Write audit entries to the log only, not to the table."`
}

func (d *Database) check(l *loader) {
	if d.Namespace != "auth" {
		l.fail("DB_NAMESPACE", "must be auth: row level security policies and clients name that schema")
	}
	if d.URL == "" {
		l.failSecret("DATABASE_URL", "is empty: give the connection string of the database")
	} else if _, err := pgconn.ParseConfig(string(d.URL)); err != nil {
		l.failSecret("DATABASE_URL", "is not a connection string (%v)", firstLine(err)) // pgconn hides the password
	}
	if d.MaxPoolSize < 0 {
		l.fail("GOTRUE_DB_MAX_POOL_SIZE", "must be 0 or more")
	}
	if d.MaxIdlePoolSize < 0 {
		l.fail("GOTRUE_DB_MAX_IDLE_POOL_SIZE", "must be 0 or more")
	}
	if d.AdvisorSampling <= 0 {
		l.fail("GOTRUE_DB_ADVISOR_SAMPLING_INTERVAL", "must be longer than 0")
	}
	if d.AdvisorObserving < d.AdvisorSampling {
		l.fail("GOTRUE_DB_ADVISOR_OBSERVATION_INTERVAL", "must not be shorter than GOTRUE_DB_ADVISOR_SAMPLING_INTERVAL")
	}
	d.ConnPercentage = min(max(d.ConnPercentage, 0), 100)
}

// MaxConns returns how many connections the server may open to a database that allows serverMax.
func (d *Database) MaxConns(serverMax int) int {
	switch {
	case d.ConnPercentage > 0:
		return max(serverMax*d.ConnPercentage/100, 1)
	case d.MaxPoolSize > 0:
		return d.MaxPoolSize
	}
	return max(4*runtime.GOMAXPROCS(0), 10)
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// Log is about the log: JSON lines on standard error or in a file.
type Log struct {
	Level string `env:"GOTRUE_LOG_LEVEL" envDefault:"info" desc:"Least important messages shown: trace, debug, info, warn, error, fatal or panic."`
	File  string `env:"GOTRUE_LOG_FILE" desc:"File to append to; empty means standard error."`
	SQL   string `env:"GOTRUE_LOG_SQL" envDefault:"none" desc:"Log each statement of a request: none, statement, or all, which shows arguments and so personal data and hashes."`
}

var levels = map[string]slog.Level{
	"trace": slog.LevelDebug, "debug": slog.LevelDebug, "": slog.LevelInfo, "info": slog.LevelInfo, "warn": slog.LevelWarn,
	"warning": slog.LevelWarn, "error": slog.LevelError, "fatal": slog.LevelError, "panic": slog.LevelError,
}

func (g *Log) check(l *loader) {
	if _, ok := levels[strings.ToLower(g.Level)]; !ok {
		l.fail("GOTRUE_LOG_LEVEL", "must be trace, debug, info, warn, error, fatal or panic")
	}
	if g.SQL != "" && g.SQL != "none" && g.SQL != "statement" && g.SQL != "all" {
		l.fail("GOTRUE_LOG_SQL", "must be none, statement or all")
	}
}

// Slog returns the level for log/slog.
func (g *Log) Slog() slog.Level { return levels[strings.ToLower(g.Level)] }
