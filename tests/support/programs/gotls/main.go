// SPDX-License-Identifier: Apache-2.0

// TLS over crypto/tls in every way that probes have to cope with. Both ends say at their end, one line of JSON a
// connection, what they carried.
package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"net"
	"os"
	"strconv"
	"sync"
)

const usage = "gotls raw-server|raw-client|http-server|http-client|closed|reused|piped|pingpong ..."

func main() {
	if len(os.Args) < 2 {
		fail(usage)
	}
	arguments := os.Args[2:]
	switch os.Args[1] {
	case "raw-server":
		rawServer(arguments)
	case "raw-client":
		rawClient(arguments)
	case "http-server":
		httpServer(arguments)
	case "http-client":
		httpClient(arguments)
	case "closed":
		writeToClosed(arguments)
	case "reused":
		reuseConns(arguments)
	case "piped":
		talkThroughPipes(arguments)
	case "pingpong":
		pingPong(arguments)
	default:
		fail(usage)
	}
}

// Ledger is what one end of one connection carried.
type Ledger struct {
	Role, Local, Remote string
	Sent, Received      string // SHA-256
	SentBytes           int
	ReceivedBytes       int
	sent, received      hash.Hash
}

func newLedger(role string, conn net.Conn) *Ledger {
	return &Ledger{
		Role: role, Local: conn.LocalAddr().String(), Remote: conn.RemoteAddr().String(),
		sent: sha256.New(), received: sha256.New(),
	}
}

func (l *Ledger) send(data []byte) {
	l.sent.Write(data)
	l.SentBytes += len(data)
}

func (l *Ledger) receive(data []byte) {
	l.received.Write(data)
	l.ReceivedBytes += len(data)
}

var printing sync.Mutex

func (l *Ledger) print() {
	l.Sent = hex.EncodeToString(l.sent.Sum(nil))
	l.Received = hex.EncodeToString(l.received.Sum(nil))
	line, err := json.Marshal(l)
	check(err)
	printing.Lock()
	defer printing.Unlock()
	fmt.Println(string(line))
}

func serverConfig(certificate, key string) *tls.Config {
	pair, err := tls.LoadX509KeyPair(certificate, key)
	check(err)
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
}

func clientConfig(authority, version string) *tls.Config {
	pem, err := os.ReadFile(authority)
	check(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	config := &tls.Config{RootCAs: roots, ServerName: "localhost"}
	if version == "1.2" {
		config.MaxVersion = tls.VersionTLS12
	}
	return config
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	check(err)
	return value
}

func listen() net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	return listener
}

func check(err error) {
	if err != nil {
		fail(err.Error())
	}
}

func fail(reason string) {
	fmt.Fprintln(os.Stderr, reason)
	os.Exit(1)
}
