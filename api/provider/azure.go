package provider

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"
)

const azureHost = "https://login.microsoftonline.com/"

// azureTenant is what follows the host in the issuer of a tenant's ID tokens.
var azureTenant = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*/v2\.0/?$`)

// azureIssuers tells which issuers are tenants at this host.
func azureIssuers(host string) func(iss string) bool {
	return func(iss string) bool {
		tenant, ok := strings.CutPrefix(iss, host)
		return ok && azureTenant.MatchString(tenant)
	}
}

// azure is Microsoft Entra ID; the URL of one's own is that of a tenant, or of an Entra External ID tenant (CIAM).
func azure() definition {
	return definition{
		authorize: endpoint{azureHost + "common", "/oauth2/v2.0/authorize"},
		token:     endpoint{azureHost + "common", "/oauth2/v2.0/token"},
		api:       endpoint{azureHost + "common", ""},
		scopes:    []string{"openid"},
		isIssuer:  azureIssuers(azureHost),
		signs:     azureSigns,
		idToken:   azureIdentity,
		identify:  azureUser,
	}
}

// azureUser takes tokens of the one tenant only; where people of all tenants may come, each token names its own.
func azureUser(ctx context.Context, v *visit) (*Identity, error) {
	base := v.apiURL()
	host, tenant := base[:strings.LastIndexByte(base, '/')+1], base[strings.LastIndexByte(base, '/')+1:]
	if tenant != "common" && tenant != "organizations" {
		return fromTokenOf(ctx, v, base+"/v2.0", nil)
	}
	return fromTokenOf(ctx, v, "", azureIssuers(host))
}

// azureOldIssuer is the issuer of a tenant's tokens in the older form.
var azureOldIssuer = regexp.MustCompile(`^https://sts\.windows\.net/[A-Za-z0-9][A-Za-z0-9.-]*/?$`)

// azureConsumers is the tenant of all personal accounts, which the URL names consumers.
const azureConsumers = "9188040d-6c67-4c5b-b112-36a304b66dad"

// azureSigns tells whose tokens clients may bring: any tenant's, also in the older form, or only those of the tenant that a
// URL of one's own names.
func azureSigns(base, iss string) bool {
	tenant, isPublic := strings.CutPrefix(base, azureHost)
	switch {
	case base == "" || isPublic && (tenant == "common" || tenant == "organizations"):
		return azureIssuers(azureHost)(iss) || azureOldIssuer.MatchString(iss)
	case isPublic && tenant == "consumers":
		tenant = azureConsumers
		base = azureHost + tenant
	}
	return iss == base+"/v2.0" || isPublic && iss == "https://sts.windows.net/"+tenant+"/"
}

// azureTechnical are claims that say nothing about a person, or that have a place of their own.
var azureTechnical = []string{
	"aud", "iss", "iat", "nbf", "exp", "c_hash", "at_hash", "aio", "nonce", "rh", "uti", "jti", "ver", "sub", "name",
	"preferred_username",
}

func azureIdentity(c rawClaims) (*Identity, error) {
	sub := c.text("sub")
	data := claims(map[string]string{
		"iss": c.text("iss"), "sub": sub, "provider_id": sub, "preferred_username": c.text("preferred_username"),
		"full_name": c.text("name"),
	})
	custom := map[string]any{}
	maps.Copy(custom, c)
	maps.DeleteFunc(custom, func(name string, _ any) bool { return slices.Contains(azureTechnical, name) })
	data["custom_claims"] = custom
	return &Identity{Subject: sub, Data: data, Emails: oneEmail(c.text("email"), azureVouches(c))}, nil
}

// azureVouches tells whether the address counts. xms_edov says that its domain belongs to the tenant; applications have
// to ask for that claim. Without it every address counts, also what some administrator wrote there (docs/providers.md).
func azureVouches(c rawClaims) bool {
	owner, isTold := c["xms_edov"]
	return !isTold || owner == "1" || c.isTrue("xms_edov")
}
