package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
)

func answerHTTP(answer http.ResponseWriter, request *http.Request) {
	asked, err := read(bufio.NewReader(request.Body))
	check(err)
	local := request.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr).Port
	remote, err := net.ResolveTCPAddr("tcp", request.RemoteAddr)
	check(err)
	body := message{local, remote.Port, asked[2], asked[3], asked[5], 0}.encode()
	answer.Header().Set("Content-Length", fmt.Sprint(len(body)))
	answer.Write(body)
}

func serveHTTP(listener net.Listener, pair tls.Certificate) {
	server := &http.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}},
		Handler:   http.HandlerFunc(answerHTTP),
	}
	check(server.ServeTLS(listener, "", ""))
}

func talkHTTP(address string, roots *x509.CertPool, token, rounds int, sizes [4]int) {
	version, protocol := uint16(tls.VersionTLS12+token%2), os.Args[6]
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{
			RootCAs: roots, ServerName: "localhost", MinVersion: version, MaxVersion: version,
		},
		ForceAttemptHTTP2: protocol == "2", MaxConnsPerHost: 1,
	}
	if protocol == "1" {
		transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for sequence := 0; sequence < rounds; sequence++ {
		place := token + sequence
		asked := message{0, 0, token, sequence, sizes[place%4], sizes[(place+1)%4]}
		answer, err := client.Post("https://"+address+"/", "text/plain", bytes.NewReader(asked.encode()))
		check(err)
		got, err := read(bufio.NewReader(answer.Body))
		check(err)
		_, err = io.Copy(io.Discard, answer.Body)
		check(err)
		answer.Body.Close()
		if got[2] != token || got[3] != sequence || got[4] != asked[5] || answer.Proto[:6] != "HTTP/"+protocol {
			panic(fmt.Sprint(got, " for ", asked, " by ", answer.Proto))
		}
	}
}
