package token

import (
	"testing"

	"github.com/postern-auth/postern/api/config"
)

// realistic is the payload of an issued access token.
const realistic = `{"aal":"aal1","amr":[{"method":"password","timestamp":1763942400}],"app_metadata":{"provider":"email","providers":["email"]},"aud":"authenticated","email":"someone@example.com","exp":4102444800,"iat":1763942400,"is_anonymous":false,"phone":"","role":"authenticated","session_id":"4e3a7f36-3f7c-4b8e-9f55-0d1c3f9a7f10","sub":"7f0cb8a4-43a5-41a2-9f1c-1d8f3c1c3a11","user_metadata":{"email":"someone@example.com","email_verified":true,"phone_verified":false,"sub":"7f0cb8a4-43a5-41a2-9f1c-1d8f3c1c3a11"}}`

func benchmarks(b *testing.B) map[string]*Keys {
	return map[string]*Keys{
		"HS256": newKeys(b, config.JWT{}),
		"ES256": newKeys(b, config.JWT{Keys: set(member(b, generate(b)["p256"], "e", "ES256", signs))}),
	}
}

func BenchmarkSign(b *testing.B) {
	for name, k := range benchmarks(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Sign([]byte(realistic)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	for name, k := range benchmarks(b) {
		signed, err := k.Sign([]byte(realistic))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Verify(signed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
