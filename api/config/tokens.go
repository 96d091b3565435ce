package config

import "time"

// JWT is about access tokens. Package token reads the keys.
type JWT struct {
	Secret           Secret   `env:"GOTRUE_JWT_SECRET,required" desc:"Secret that signs access tokens (HS256), at least 32 random bytes; also required when GOTRUE_JWT_KEYS is set."`
	Keys             Secret   `env:"GOTRUE_JWT_KEYS" desc:"JSON array of private JWKs (oct, RSA, EC, OKP); the one whose key_ops has sign is used for new tokens."`
	KeyID            string   `env:"GOTRUE_JWT_KEY_ID" desc:"kid of tokens signed with GOTRUE_JWT_SECRET."`
	ValidMethods     []string `env:"GOTRUE_JWT_VALID_METHODS" desc:"Accepted signature algorithms, comma-separated; empty means those of the keys."`
	Exp              int      `env:"GOTRUE_JWT_EXP" envDefault:"3600" desc:"Lifetime of access tokens in seconds; 0 means 3600."`
	Aud              string   `env:"GOTRUE_JWT_AUD" desc:"Audience of users and requests that name none."`
	Issuer           string   `env:"GOTRUE_JWT_ISSUER" desc:"Claim iss; empty leaves it out."`
	AdminRoles       []string `env:"GOTRUE_JWT_ADMIN_ROLES" envDefault:"service_role,supabase_admin" desc:"Roles whose tokens may use /admin, comma-separated."`
	DefaultGroupName string   `env:"GOTRUE_JWT_DEFAULT_GROUP_NAME" desc:"Role of new users; set it to authenticated."`
	AdminGroupName   string   `env:"GOTRUE_JWT_ADMIN_GROUP_NAME" envDefault:"admin" desc:"Role of users that the command line creates as administrators."`
}

func (j *JWT) check(l *loader) {
	if j.Secret == "" {
		l.failSecret("GOTRUE_JWT_SECRET", "is empty: give at least 32 random bytes")
	}
	if j.Exp < 0 {
		l.fail("GOTRUE_JWT_EXP", "must be a number of seconds, 0 or more")
	}
	if j.Exp == 0 {
		j.Exp = 3600
	}
}

// Sessions is about how long sessions live. A duration of 0 means no limit.
type Sessions struct {
	Timebox           time.Duration `env:"GOTRUE_SESSIONS_TIMEBOX" desc:"A session ends this long after it began; not set means never."`
	InactivityTimeout time.Duration `env:"GOTRUE_SESSIONS_INACTIVITY_TIMEOUT" desc:"A session ends when it was not refreshed for this long; not set means never."`
	AllowLowAAL       time.Duration `env:"GOTRUE_SESSIONS_ALLOW_LOW_AAL" desc:"A user with a second factor may stay signed in without using it for this long; not set means no limit."`
	SinglePerUser     bool          `env:"GOTRUE_SESSIONS_SINGLE_PER_USER" envDefault:"false" desc:"Only the newest session of a user (per tag) can be refreshed."`
	Tags              []string      `env:"GOTRUE_SESSIONS_TAGS" desc:"Tags that GOTRUE_SESSIONS_SINGLE_PER_USER tells apart, comma-separated."`
}

func (s *Sessions) check(l *loader) {
	for _, limit := range []struct {
		name string
		d    time.Duration
	}{
		{"GOTRUE_SESSIONS_TIMEBOX", s.Timebox},
		{"GOTRUE_SESSIONS_INACTIVITY_TIMEOUT", s.InactivityTimeout},
		{"GOTRUE_SESSIONS_ALLOW_LOW_AAL", s.AllowLowAAL},
	} {
		if limit.d < 0 || limit.d == 0 && l.isSet(limit.name) {
			l.fail(limit.name, "must be longer than 0; remove it for no limit")
		}
	}
}

// Security is about refresh tokens, password changes and whom to believe.
type Security struct {
	RotationEnabled         bool `env:"GOTRUE_SECURITY_REFRESH_TOKEN_ROTATION_ENABLED" envDefault:"true" desc:"A refresh token that is used twice ends its session."`
	ReuseInterval           int  `env:"GOTRUE_SECURITY_REFRESH_TOKEN_REUSE_INTERVAL" envDefault:"10" desc:"Seconds in which a used refresh token still works, so that parallel refreshes do not sign people out."`
	AllowReuse              bool `env:"GOTRUE_SECURITY_REFRESH_TOKEN_ALLOW_REUSE" envDefault:"false" desc:"Refresh tokens of version 2 may be used any number of times."`
	AlgorithmVersion        int  `env:"GOTRUE_SECURITY_REFRESH_TOKEN_ALGORITHM_VERSION" envDefault:"0" desc:"0 and 1: random refresh tokens; 2: signed tokens with a counter."`
	UpgradePercentage       int  `env:"GOTRUE_SECURITY_REFRESH_TOKEN_UPGRADE_PERCENTAGE" envDefault:"0" desc:"0 to 100: share of older sessions that move to version 2 when they are refreshed."`
	RequireReauthentication bool `env:"GOTRUE_SECURITY_UPDATE_PASSWORD_REQUIRE_REAUTHENTICATION" envDefault:"false" desc:"Changing the password of an older session takes a mailed code."`
	RequireCurrentPassword  bool `env:"GOTRUE_SECURITY_UPDATE_PASSWORD_REQUIRE_CURRENT_PASSWORD" envDefault:"false" desc:"Changing the password takes the current one."`
	ManualLinking           bool `env:"GOTRUE_SECURITY_MANUAL_LINKING_ENABLED" envDefault:"false" desc:"Users may link and unlink sign-in methods themselves."`
	SbForwardedFor          bool `env:"GOTRUE_SECURITY_SB_FORWARDED_FOR_ENABLED" envDefault:"false" desc:"Believe the header Sb-Forwarded-For: its first value is the address of the client."`
}

func (s *Security) check(l *loader) {
	if s.ReuseInterval < 0 {
		l.fail("GOTRUE_SECURITY_REFRESH_TOKEN_REUSE_INTERVAL", "must be a number of seconds, 0 or more")
	}
	if s.AlgorithmVersion < 0 || s.AlgorithmVersion > 2 {
		l.fail("GOTRUE_SECURITY_REFRESH_TOKEN_ALGORITHM_VERSION", "must be 0, 1 or 2")
	}
	if s.UpgradePercentage < 0 || s.UpgradePercentage > 100 {
		l.fail("GOTRUE_SECURITY_REFRESH_TOKEN_UPGRADE_PERCENTAGE", "must be a percentage from 0 to 100")
	}
}
