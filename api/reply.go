package api

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// reply is what a handler answers.
type reply interface{ write(w http.ResponseWriter) }

// document is a JSON body that is passed through as it is, with status 200.
type document json.RawMessage

func (d document) write(w http.ResponseWriter) { writeJSON(w, http.StatusOK, d) }

// emptyObject is the answer of endpoints that tell nothing.
var emptyObject = document("{}")

// jsonReply encodes v, with the status 200 and further headers.
func jsonReply(v any, header http.Header) (reply, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding the reply: %w", err)
	}
	return withHeader{header, document(body)}, nil
}

// withHeader adds headers to another reply.
type withHeader struct {
	header http.Header
	reply  reply
}

func (h withHeader) write(w http.ResponseWriter) {
	for name, values := range h.header {
		w.Header()[name] = values
	}
	h.reply.write(w)
}

// noContent is 204 without a body.
type noContent struct{}

func (noContent) write(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) }

// seeOther sends a browser to a URL that was found on the allow list: 303.
type seeOther string

func (u seeOther) write(w http.ResponseWriter) {
	w.Header().Set("Location", string(u))
	w.WriteHeader(http.StatusSeeOther)
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header()["Content-Type"] = jsonContentType
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that went away is no error of ours
}

var jsonContentType = []string{"application/json"}
