// Fakeprovider runs the tests' OpenID Connect provider (api/apitest/idp) as a program, for the tests in JavaScript and for
// trying things out by hand. PUT /knobs on the second address changes what it does: a JSON object of idp.Knobs.
//
//	go run ./e2e/fakeprovider -listen 127.0.0.1:8089 -ask
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/postern-auth/postern/api/apitest/idp"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address of the provider")
	control := flag.String("control", "127.0.0.1:0", "address of the knobs")
	isAsking := flag.Bool("ask", false, "show a page with a button instead of going back at once")
	email := flag.String("email", "ann@idp.example.com", "address of the person who signs in")
	hasTLS := flag.Bool("tls", false, "speak TLS")
	flag.Parse()
	p, err := idp.Listen(idp.Options{Listen: *listen, TLS: *hasTLS})
	if err != nil {
		log.Fatal(err)
	}
	p.Set(func(k *idp.Knobs) { k.Asks, k.User["email"] = *isAsking, *email })
	knobs, err := net.Listen("tcp", *control)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("PROVIDER=%s\nKNOBS=http://%s/knobs\n", p.URL, knobs.Addr())
	server := &http.Server{Handler: turn(p), ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.Serve(knobs))
}

// turn changes the knobs that a request names; the others stay.
func turn(p *idp.Provider) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /knobs", func(w http.ResponseWriter, r *http.Request) {
		var err error
		p.Set(func(k *idp.Knobs) { err = json.NewDecoder(r.Body).Decode(k) })
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}
