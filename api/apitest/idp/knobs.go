package idp

// Knobs are what a provider does. They can be written as JSON.
type Knobs struct {
	// User are the claims of ID tokens and of userinfo, besides those of the protocol.
	User map[string]any
	// NoEmail, UnverifiedEmail and TextVerified change what User says: no address, one that is not confirmed, and
	// email_verified as text.
	NoEmail, UnverifiedEmail, TextVerified bool

	// Asks shows a page with a button, as providers do to people; otherwise the browser is sent back at once.
	Asks bool
	// Denies sends it back with this error (RFC 6749 section 4.1.2.1), with no code.
	Denies string

	// Discovery, Keys, Token and Userinfo are what is wrong with an endpoint.
	Discovery, Keys, Token, Userinfo Fault
	// Document overrides members of the discovery document; null leaves one out.
	Document map[string]any

	// Secret is the client's; empty: any will do.
	Secret string
	// Credentials is how the client has to send them: "basic", "form", or empty for either.
	Credentials string
	// DemandsPKCE refuses authorizations without an S256 challenge.
	DemandsPKCE bool
	// ExpiresIn is the life of access tokens in seconds; 0: the answer does not say.
	ExpiresIn int
	// HasNoRefresh leaves out the refresh token.
	HasNoRefresh bool

	// Algorithm signs ID tokens: RS256 or ES256.
	Algorithm string
	// Flaw is what is wrong with ID tokens.
	Flaw Flaw
}

// DefaultKnobs are those of a provider as it should be.
func DefaultKnobs() Knobs {
	return Knobs{
		User: map[string]any{
			"sub": "idp-1", "name": "Ann Example", "email": "ann@idp.example.com", "email_verified": true,
			"preferred_username": "ann",
		},
		Algorithm: "RS256", ExpiresIn: 3600,
	}
}

// user returns the claims about the person.
func (k Knobs) user() map[string]any {
	claims := map[string]any{}
	for name, value := range k.User {
		claims[name] = value
	}
	switch {
	case k.NoEmail:
		delete(claims, "email")
		delete(claims, "email_verified")
	case k.UnverifiedEmail:
		claims["email_verified"] = false
	}
	if verified, ok := claims["email_verified"].(bool); ok && k.TextVerified {
		claims["email_verified"] = map[bool]string{true: "true", false: "false"}[verified]
	}
	return claims
}

// Fault is what is wrong with an endpoint.
type Fault string

// Faults of endpoints. Slow answers begin and never end; silent ones do not begin.
const (
	OK          Fault = ""
	Slow        Fault = "slow"
	Silent      Fault = "silent"
	Huge        Fault = "huge"         // without end
	ServerError Fault = "server error" // 500 with JSON
	NotJSON     Fault = "not json"
	Empty       Fault = "empty"      // {}
	Redirects   Fault = "redirects"  // to an address where nobody should go
	BreaksOff   Fault = "breaks off" // in the middle of an answer
)

// Faults lists all that are some.
func Faults() []Fault {
	return []Fault{Slow, Silent, Huge, ServerError, NotJSON, Empty, Redirects, BreaksOff}
}

// RedirectTarget is where the fault Redirects leads.
const RedirectTarget = "https://169.254.169.254/latest/meta-data/"

// Flaw is what is wrong, or only odd, with an ID token.
type Flaw string

// Flaws that make a token worthless, whoever checks it (OpenID Connect Core 1.0 section 3.1.3.7, RFC 8725).
const (
	WrongIssuer      Flaw = "wrong issuer"
	NoIssuer         Flaw = "no issuer"
	IssuerPrefix     Flaw = "issuer that begins like the right one"
	WrongAudience    Flaw = "wrong audience"
	NoAudience       Flaw = "no audience"
	OtherAudiences   Flaw = "a list of other audiences"
	AlgNone          Flaw = "alg none"
	AlgNoneSpelled   Flaw = "alg nOnE"
	KeyConfusion     Flaw = "HS256 with the public key in PEM"
	KeyConfusionDER  Flaw = "HS256 with the public key in DER"
	KeyConfusionJWK  Flaw = "HS256 with the public key as JWK"
	ClientSecretHMAC Flaw = "HS256 with the client secret"
	UnknownKey       Flaw = "signed with a key that is not published"
	KeyInHeader      Flaw = "signed with a key that the header brings"
	BrokenSignature  Flaw = "broken signature"
	NoSignature      Flaw = "no signature"
	Expired          Flaw = "expired"
	NoExpiry         Flaw = "no expiry"
	NotYetValid      Flaw = "not yet valid"
	NoSubject        Flaw = "no subject"
	EmptySubject     Flaw = "empty subject"
	WrongAtHash      Flaw = "wrong at_hash"
	NotAToken        Flaw = "not a token"
)

// Flaws that only some checks mind.
const (
	NoNonce      Flaw = "no nonce"
	WrongNonce   Flaw = "wrong nonce"
	AudienceList Flaw = "a list of audiences with the right one"
	NoKid        Flaw = "no kid"
	NoIDToken    Flaw = "no ID token"
)

// Flaws lists those that must be refused everywhere. WrongAtHash is one where the access token is at hand.
func Flaws() []Flaw {
	return []Flaw{
		WrongIssuer, NoIssuer, IssuerPrefix, WrongAudience, NoAudience, OtherAudiences, AlgNone, AlgNoneSpelled, KeyConfusion,
		KeyConfusionDER, KeyConfusionJWK, ClientSecretHMAC, UnknownKey, KeyInHeader, BrokenSignature, NoSignature, Expired,
		NoExpiry, NotYetValid, NoSubject, EmptySubject, WrongAtHash, NotAToken,
	}
}
