// Go's ServeMux, which cleans a path and redirects to what it has cleaned.
package main

import (
	"net/http"
	"os"
)

func main() {
	answers := func(handler string) http.HandlerFunc {
		return func(answer http.ResponseWriter, request *http.Request) { answer.Header().Set("X-Handler", handler) }
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/admin/", answers("admin"))
	mux.HandleFunc("/admin", answers("admin"))
	mux.HandleFunc("/", answers("other"))
	if err := http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), mux); err != nil {
		panic(err)
	}
}
