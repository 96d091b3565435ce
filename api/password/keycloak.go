package password

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// parseKeycloak reads a credential as a realm export of Keycloak holds it: a JSON object with the members secretData and
// credentialData, each an object or the text of one. Algorithms: pbkdf2 (SHA-1), pbkdf2-sha256, pbkdf2-sha512, argon2.
func parseKeycloak(text string) (*checker, error) {
	phc, err := keycloakPHC(text)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(phc, "$argon2") {
		check, err := parseArgon2(phc)
		if err != nil {
			return nil, err
		}
		return imported(check.matches), nil
	}
	return parsePBKDF2(phc)
}

// StoredForm is how a valid hash is stored: a credential of Keycloak, which users.encrypted_password has no room for, in
// the PHC form, anything else as it is.
func StoredForm(hash string) string {
	if phc, err := keycloakPHC(hash); err == nil {
		return phc
	}
	return hash
}

// object is a JSON object; its names are taken to the letter, which encoding/json does not do for structs.
type object map[string]json.RawMessage

// text returns a member that is a string or a number, "" for anything else.
func (o object) text(name string) string {
	var s string
	var n json.Number
	switch {
	case json.Unmarshal(o[name], &s) == nil:
		return s
	case json.Unmarshal(o[name], &n) == nil:
		return n.String()
	}
	return ""
}

// nested returns a member that is an object, or the text of one.
func (o object) nested(name string) (inner object) {
	var s string
	if json.Unmarshal(o[name], &s) == nil {
		_ = json.Unmarshal([]byte(s), &inner) // nil, and without members, when it is none
		return inner
	}
	_ = json.Unmarshal(o[name], &inner)
	return inner
}

// first returns the first text of a member that is a list: Keycloak's parameters are lists of one.
func (o object) first(name string) string {
	var list []json.RawMessage
	if json.Unmarshal(o[name], &list) != nil || len(list) == 0 {
		return ""
	}
	return object{name: list[0]}.text(name)
}

// plainBase64 keeps $ and what else could add fields out of the PHC form.
var plainBase64 = regexp.MustCompile(`^[A-Za-z0-9+/]+={0,2}$`)

// keycloakPHC writes a credential in the PHC form.
func keycloakPHC(text string) (string, error) {
	var credential object
	if err := json.Unmarshal([]byte(text), &credential); err != nil {
		return "", fmt.Errorf("the password hash is not a credential of Keycloak: %w", err)
	}
	secret, data := credential.nested("secretData"), credential.nested("credentialData")
	value, salt := secret.text("value"), secret.text("salt")
	iterations, algorithm := data.text("hashIterations"), data.text("algorithm")
	if !plainBase64.MatchString(value) || !plainBase64.MatchString(salt) {
		return "", errors.New("the password hash is not a credential of Keycloak: value and salt must be base64")
	}
	switch algorithm {
	case "pbkdf2", "pbkdf2-sha256", "pbkdf2-sha512":
		return "$" + algorithm + "$i=" + iterations + "$" + salt + "$" + value, nil
	case "argon2":
		p := data.nested("additionalParameters")
		if p.first("version") != "1.3" {
			return "", errors.New("the password hash is not a credential of Keycloak: Argon2 must have the version 1.3")
		}
		return "$argon2" + p.first("type") + "$v=19$m=" + p.first("memory") + ",t=" + iterations + ",p=" + p.first("parallelism") +
			"$" + strings.TrimRight(salt, "=") + "$" + strings.TrimRight(value, "="), nil
	}
	return "", fmt.Errorf("the password hash is a credential of Keycloak with the unknown algorithm %q", algorithm)
}
