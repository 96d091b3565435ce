package sms

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/postern-auth/postern/api/outbound"
)

// maxAnswer is how much of an answer is read, in bytes.
const maxAnswer = 64 << 10

// poster is the one way to a provider's API.
type poster struct{ client *http.Client }

// post sends a form and decodes the JSON answer into target. authorize, if not nil, adds credentials.
// It returns the status, below 500 and not one that says "later"; whether it is a success is the caller's to say.
// Errors: no answer in time, too much of one, "later", or a success that is no JSON. The answer to a refusal need not be JSON.
func (p poster) post(
	ctx context.Context, to string, authorize func(*http.Request), form url.Values, target any,
) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if authorize != nil {
		authorize(req)
	}
	res, err := p.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := outbound.ReadAll(res.Body, maxAnswer)
	if err != nil {
		return 0, fmt.Errorf("reading the answer of %s: %w", req.URL.Host, err)
	}
	if isLater(res.StatusCode) {
		return 0, &laterError{req.URL.Host, res.StatusCode}
	}
	if err := json.Unmarshal(body, target); err != nil && isSuccess(res.StatusCode) {
		return 0, fmt.Errorf("the answer of %s cannot be read: %w", req.URL.Host, err)
	}
	return res.StatusCode, nil
}

// laterError is an answer after which the same request may succeed in a while.
type laterError struct {
	host   string
	status int
}

func (e *laterError) Error() string { return fmt.Sprintf("%s answered %d", e.host, e.status) }

func isSuccess(status int) bool { return status == http.StatusOK || status == http.StatusCreated }

// isLater tells whether a status calls for a laterError.
func isLater(status int) bool {
	return status >= http.StatusInternalServerError || status == http.StatusRequestTimeout ||
		status == http.StatusTooEarly || status == http.StatusTooManyRequests
}
