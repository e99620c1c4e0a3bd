// Answers messages, or sends them and looks at the answers, by Go's crypto/tls: the messages of
// tests/matrix/messages.py.
//
//	go_messages server CERTIFICATE KEY [http]
//	go_messages client PORT CA CONNECTIONS ROUNDS [1|2]
//
// With the last argument they are in the bodies of HTTP requests, by net/http.
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
)

type message [6]int // local, remote, token, sequence, size, answer

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func (m message) encode() []byte {
	tag := fmt.Sprintf("%d>%d/%d#%d;", m[0], m[1], m[2], m[3])
	line := fmt.Sprintf("m %d %d %d %d %d %d\n", m[0], m[1], m[2], m[3], m[4], m[5])
	return append([]byte(line), bytes.Repeat([]byte(tag), m[4]/len(tag)+1)[:m[4]]...)
}

func read(stream *bufio.Reader) (found message, err error) {
	line, err := stream.ReadString('\n')
	if err != nil {
		return found, err
	}
	for place, field := range strings.Fields(line)[1:] {
		found[place], err = strconv.Atoi(field)
		check(err)
	}
	_, err = io.CopyN(io.Discard, stream, int64(found[4]))
	return found, err
}

func ports(connection net.Conn) (int, int) {
	return connection.LocalAddr().(*net.TCPAddr).Port, connection.RemoteAddr().(*net.TCPAddr).Port
}

func serve(connection *tls.Conn) {
	defer connection.Close()
	stream := bufio.NewReader(connection)
	local, remote := ports(connection)
	for {
		asked, err := read(stream)
		if err != nil {
			return
		}
		if _, err = connection.Write(message{local, remote, asked[2], asked[3], asked[5], 0}.encode()); err != nil {
			return
		}
	}
}

func talk(address string, roots *x509.CertPool, token, rounds int, sizes [4]int) {
	version := uint16(tls.VersionTLS12 + token%2)
	connection, err := tls.Dial("tcp", address, &tls.Config{
		RootCAs: roots, ServerName: "localhost", MinVersion: version, MaxVersion: version,
	})
	check(err)
	defer connection.Close()
	stream := bufio.NewReader(connection)
	local, remote := ports(connection)
	for sequence := 0; sequence < rounds; sequence++ {
		place := token + sequence
		asked := message{local, remote, token, sequence, sizes[place%4], sizes[(place+1)%4]}
		_, err = connection.Write(asked.encode())
		check(err)
		got, err := read(stream)
		check(err)
		if got != (message{remote, local, token, sequence, asked[5], 0}) {
			panic(fmt.Sprint(got, " for ", asked))
		}
	}
}

func number(text string) int {
	found, err := strconv.Atoi(text)
	check(err)
	return found
}

func server(certificate, key string) {
	pair, err := tls.LoadX509KeyPair(certificate, key)
	check(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	if len(os.Args) > 4 {
		serveHTTP(listener, pair)
	}
	for {
		connection, err := listener.Accept()
		check(err)
		go serve(tls.Server(connection, &tls.Config{Certificates: []tls.Certificate{pair}}))
	}
}

func client(port, ca string, connections, rounds int) {
	text, err := os.ReadFile(ca)
	check(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	sizes, atOnce := [4]int{1, 300, 5000, 40000}, connections
	if given := os.Getenv("MATRIX_SIZES"); given != "" {
		for place, size := range strings.Split(given, ",") {
			sizes[place] = number(size)
		}
	}
	if given := os.Getenv("MATRIX_AT_ONCE"); given != "" {
		atOnce = number(given)
	}
	fmt.Println("ready")
	_, err = bufio.NewReader(os.Stdin).ReadString('\n')
	check(err)
	send := talk
	if len(os.Args) > 6 {
		send = talkHTTP
	}
	tokens := make(chan int)
	var group sync.WaitGroup
	for ; atOnce > 0; atOnce-- {
		group.Add(1)
		go func() {
			defer group.Done()
			for token := range tokens {
				send("127.0.0.1:"+port, roots, token, rounds, sizes)
			}
		}()
	}
	for token := 0; token < connections; token++ {
		tokens <- token
	}
	close(tokens)
	group.Wait()
}

func main() {
	if os.Args[1] == "server" {
		server(os.Args[2], os.Args[3])
	} else {
		client(os.Args[2], os.Args[3], number(os.Args[4]), number(os.Args[5]))
	}
}
