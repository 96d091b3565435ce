package provider

import (
	"context"
	"net/http"

	"golang.org/x/oauth2"
)

// visit is what is left of a person's visit to a provider: the tokens, and the way to ask who it was.
type visit struct {
	*Provider
	token  *oauth2.Token
	answer Answer
	http   *http.Client
}

// get decodes the JSON answer of a path below the API's URL, or of a whole URL. headers are pairs.
func (v *visit) get(ctx context.Context, path string, into any, headers ...string) error {
	if path == "" || path[0] == '/' {
		path = v.apiURL() + path
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	// set here and not by the client, which takes it away where an answer leads to another host
	req.Header.Set("Authorization", "Bearer "+v.token.AccessToken)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return getJSON(v.http, req, into)
}
