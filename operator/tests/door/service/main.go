// Command service is an agency's service: it says under which address it was asked for.
package main

import (
	"fmt"
	"log"
	"net/http"
)

func main() {
	http.HandleFunc("/", func(answer http.ResponseWriter, asked *http.Request) {
		fmt.Fprintf(answer, "%s://%s%s", asked.Header.Get("X-Forwarded-Proto"), asked.Host, asked.URL.Path)
	})
	log.Fatal(http.ListenAndServe(":8080", nil))
}
