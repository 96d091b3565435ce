package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/api/doctor"
)

// The command prints what the package finds, for people and for programs, and fails on an error only.
func TestDoctor(t *testing.T) {
	for name, value := range map[string]string{
		"DATABASE_URL": apitest.Database(t), "API_EXTERNAL_URL": "http://localhost:8081", "GOTRUE_SITE_URL": "http://localhost:3000",
		"GOTRUE_JWT_SECRET": "q7Zt0Rk3vXw9LmB2nYc5PdHs8FgJ4aTe6UiQoKxN1zWbVrEy", "GOTRUE_JWT_AUD": "authenticated",
		"GOTRUE_JWT_DEFAULT_GROUP_NAME": "authenticated", "GOTRUE_DB_MAX_POOL_SIZE": "5",
	} {
		t.Setenv(name, value)
	}
	out, err := run(t, "doctor")
	if err != nil || !strings.Contains(out, "WARNING  mail         GOTRUE_SMTP_HOST is not set") ||
		!strings.Contains(out, "fix: GOTRUE_SMTP_HOST=") || !strings.HasSuffix(out, "0 errors, 1 warnings, 1 notes\n") {
		t.Errorf("%s%v", out, err)
	}
	t.Setenv("GOTRUE_JWT_SECRET", "short")
	out, err = run(t, "doctor", "--json")
	var found []doctor.Finding
	if err == nil || json.Unmarshal([]byte(out), &found) != nil || len(found) != 3 || found[0].Severity != doctor.Error || found[0].Area != "keys" {
		t.Errorf("%s%v", out, err)
	}
}
