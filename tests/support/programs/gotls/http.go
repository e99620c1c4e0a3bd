// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
)

// http-server CERTIFICATE KEY: answers with the body that it got, behind the path, until its standard input ends.
func httpServer(arguments []string) {
	listener := listen()
	server := &http.Server{
		TLSConfig: serverConfig(arguments[0], arguments[1]),
		Handler: http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
			body, err := io.ReadAll(request.Body)
			if err != nil {
				http.Error(answer, "the request ended early", http.StatusBadRequest)
				return
			}
			fmt.Fprintf(answer, "%s %s\n", request.Method, request.URL.Path)
			answer.Write(body)
		}),
	}
	go server.ServeTLS(listener, "", "")
	io.Copy(io.Discard, os.Stdin)
	server.Close()
}

// http-client PORT CA 1|2 CLIENTS REQUESTS: so many clients at once post so many requests each.
func httpClient(arguments []string) {
	clients, requests := number(arguments[3]), number(arguments[4])
	transport := &http.Transport{
		TLSClientConfig: clientConfig(arguments[1], ""), ForceAttemptHTTP2: arguments[2] == "2",
		MaxIdleConnsPerHost: clients,
	}
	if arguments[2] == "1" {
		transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	client := &http.Client{Transport: transport}
	var running sync.WaitGroup
	for i := 0; i < clients; i++ {
		running.Add(1)
		go func(i int) {
			defer running.Done()
			for j := 0; j < requests; j++ {
				path := fmt.Sprintf("/client/%d/request/%d", i, j)
				body := bytes.Repeat([]byte(path), 1+(i*131+j*17)%300)
				answer, err := client.Post("https://localhost:"+arguments[0]+path, "text/plain", bytes.NewReader(body))
				check(err)
				got, err := io.ReadAll(answer.Body)
				check(err)
				answer.Body.Close()
				if string(got) != "POST "+path+"\n"+string(body) || answer.Proto[:6] != "HTTP/"+arguments[2] {
					fail("a wrong answer to " + path + " by " + answer.Proto)
				}
			}
		}(i)
	}
	running.Wait()
	transport.CloseIdleConnections()
}
