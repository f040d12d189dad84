// One verb of python -m ci.compat: clients CLIENT, with the verb and what it is about as JSON on
// standard input. The answer is JSON on standard output; messages travel as base64.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
)

type door struct {
	Address, Authority, Mechanism, User, Password string
	Encrypted                                     bool
}

type request struct {
	Verb, Topic, Codec, Protocol, Name, Value string
	Door                                      door
	Messages                                  [][]byte
	Idempotent                                bool
	Count, Partitions                         int
	Group                                     *string
	Settings                                  map[string]string
}

const notOffered = "not offered"

var clients = map[string]func(request) (any, error){"franz-go": franz, "kafka-go": kafkaGo, "sarama": saramaClient}

// tlsConfig trusts the door's authority; nil for a door without TLS.
func (d door) tlsConfig() *tls.Config {
	if !d.Encrypted {
		return nil
	}
	pem, err := os.ReadFile(d.Authority)
	must(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: pool}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// owns says how many partitions this member has now.
func owns(count int) {
	line, _ := json.Marshal(map[string][]int{"assigned": make([]int, count)})
	fmt.Println(string(line))
}

func main() {
	var asked request
	must(json.NewDecoder(os.Stdin).Decode(&asked))
	answer, err := clients[os.Args[1]](asked)
	must(err)
	must(json.NewEncoder(os.Stdout).Encode(answer))
}
