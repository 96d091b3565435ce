package password

import (
	"encoding/base64"
	"strconv"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// Event is a step of the work on one password, for metrics (spec/07 section 5).
type Event struct {
	IsNew   bool     // it is hashed, not compared
	IsDone  bool     // it was
	IsMatch bool     // the comparison, once done, said yes
	Details []string // names and values of the family and its parameters: alg, bcrypt, bcrypt_cost, 10
}

// Observe has f called with every step from now on. Call it before anything else.
func (p *Pool) Observe(f func(Event)) { p.observe = f }

// Queued returns how many passwords wait.
func (p *Pool) Queued() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue)
}

// observed tells that the work on a password begins, and returns what tells its end.
func (p *Pool) observed(isNew bool, hash string) (end func(isMatch bool)) {
	if p.observe == nil {
		return func(bool) {}
	}
	e := Event{IsNew: isNew, Details: describe(hash)}
	p.observe(e)
	return func(isMatch bool) {
		e.IsDone, e.IsMatch = true, isMatch
		p.observe(e)
	}
}

// describe names the family of a hash and its parameters, and nothing that depends on the password.
func describe(hash string) []string {
	if cost, err := bcrypt.Cost([]byte(hash)); err == nil {
		return []string{"alg", "bcrypt", "bcrypt_cost", strconv.Itoa(cost)}
	}
	parts := strings.Split(hash, "$")
	isListed := len(parts) >= 5 && (strings.HasPrefix(hash, "$argon2") || strings.HasPrefix(hash, "$fbscrypt$"))
	if !isListed {
		for _, form := range forms {
			if strings.HasPrefix(hash, form.prefix) {
				return []string{"alg", strings.Trim(form.prefix, "$_{")}
			}
		}
		return []string{"alg", "unknown"}
	}
	details := []string{"alg", parts[1]}
	for _, pair := range strings.Split(strings.Join(parts[2:len(parts)-2], ","), ",") { // salt and key are the last two
		switch name, value, _ := strings.Cut(pair, "="); name {
		case "v", "m", "t", "p", "n", "r": // the others are secrets
			details = append(details, name, value)
		}
	}
	key := strings.TrimRight(parts[len(parts)-1], "=")
	return append(details, "len", strconv.Itoa(base64.RawStdEncoding.DecodedLen(len(key))))
}
