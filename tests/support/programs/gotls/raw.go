// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
)

const (
	rounds       = 8
	longest      = 20000
	stackBuffer  = 1500
	wrappedConns = "wrapped"
)

// Turns one message each way on a connection, with reads into memory of the kind that `reader` says.
type talker struct {
	conn   *tls.Conn
	ledger *Ledger
	read   func(*tls.Conn) ([]byte, error)
	left   []byte
}

// A message carries the addresses of its connection, so that no two connections say the same.
func (t *talker) send(round int) error {
	size := 1 + (round*7919+len(t.ledger.Remote)*31+int(t.ledger.Remote[len(t.ledger.Remote)-1])*977)%longest
	label := []byte(fmt.Sprintf("%s %s>%s %d;", t.ledger.Role, t.ledger.Local, t.ledger.Remote, round))
	body := bytes.Repeat(label, size/len(label)+1)[:size]
	message := append(frame(size), body...)
	done := make(chan error)
	go func() { // its stack is new, and grows while it writes
		_, err := t.conn.Write(message)
		done <- err
	}()
	t.ledger.send(message)
	return <-done
}

func (t *talker) receive() error {
	for {
		if len(t.left) >= 4 {
			size := int(binary.BigEndian.Uint32(t.left))
			if len(t.left) >= 4+size {
				t.left = t.left[4+size:]
				return nil
			}
		}
		data, err := t.read(t.conn)
		t.ledger.receive(data)
		t.left = append(t.left, data...)
		if err != nil {
			return err
		}
	}
}

// A buffer on the heap.
func readHeap(conn *tls.Conn) ([]byte, error) {
	buffer := make([]byte, 8192)
	n, err := conn.Read(buffer)
	return buffer[:n], err
}

// A buffer on the stack of a goroutine whose stack is as small as they come and must grow below it.
func readStack(conn *tls.Conn) (data []byte, err error) {
	done := make(chan struct{})
	go func() {
		data, err = readSmall(conn)
		close(done)
	}()
	<-done
	return data, err
}

func readSmall(conn *tls.Conn) ([]byte, error) {
	var buffer [stackBuffer]byte
	n, err := conn.Read(buffer[:])
	return append([]byte(nil), buffer[:n]...), err
}

func readerOf(kind string) func(*tls.Conn) ([]byte, error) {
	if kind == "stack" {
		return readStack
	}
	return readHeap
}

// A connection in the way that limiting listeners and the like have one.
type wrapped struct {
	net.Conn
	bytes int64
}

func (w *wrapped) Read(data []byte) (int, error) {
	n, err := w.Conn.Read(data)
	w.bytes += int64(n)
	return n, err
}

// raw-server CERTIFICATE KEY heap|stack: answers messages until its standard input ends.
func rawServer(arguments []string) {
	config := serverConfig(arguments[0], arguments[1])
	listener := listen()
	var running sync.WaitGroup
	go func() {
		for {
			plain, err := listener.Accept()
			if err != nil {
				return
			}
			running.Add(1)
			go func() {
				defer running.Done()
				conn := tls.Server(plain, config)
				talk := &talker{conn: conn, ledger: newLedger("server", plain), read: readerOf(arguments[2])}
				for round := 0; ; round++ {
					if talk.receive() != nil || talk.send(round) != nil { // some clients leave without a word
						break
					}
				}
				conn.Close()
				talk.ledger.print()
			}()
		}
	}()
	io.Copy(io.Discard, os.Stdin)
	listener.Close()
	running.Wait()
}

// raw-client PORT CA heap|stack|wrapped CONNECTIONS [1.2|1.3]: speaks on so many connections at once.
func rawClient(arguments []string) {
	config := clientConfig(arguments[1], arguments[4])
	var running sync.WaitGroup
	for i := 0; i < number(arguments[3]); i++ {
		running.Add(1)
		go func() {
			defer running.Done()
			plain, err := net.Dial("tcp", "127.0.0.1:"+arguments[0])
			check(err)
			carrier := plain
			if arguments[2] == wrappedConns {
				carrier = &wrapped{Conn: &wrapped{Conn: plain}}
			}
			conn := tls.Client(carrier, config)
			talk := &talker{conn: conn, ledger: newLedger("client", plain), read: readerOf(arguments[2])}
			for round := 0; round < rounds; round++ {
				check(talk.send(round))
				check(talk.receive())
			}
			conn.Close()
			talk.ledger.print()
		}()
	}
	running.Wait()
}

// closed PORT CA: says "kept", closes the descriptor, and writes what goes nowhere.
func writeToClosed(arguments []string) {
	plain, err := net.Dial("tcp", "127.0.0.1:"+arguments[0])
	check(err)
	conn := tls.Client(plain, clientConfig(arguments[1], ""))
	_, err = conn.Write([]byte("\x00\x00\x00\x00"))
	check(err)
	check(plain.Close())
	if _, err = conn.Write([]byte("goes nowhere")); err == nil {
		fail("a write to a closed descriptor succeeded")
	}
}

func frame(size int) []byte {
	head := make([]byte, 4, 4+size)
	binary.BigEndian.PutUint32(head, uint32(size))
	return head
}

// reused PORT CA TIMES: one connection after another in objects that the collector gives back for the next.
func reuseConns(arguments []string) {
	config := clientConfig(arguments[1], "")
	for i := 0; i < number(arguments[2]); i++ {
		plain, err := net.Dial("tcp", "127.0.0.1:"+arguments[0])
		check(err)
		conn := tls.Client(plain, config)
		talk := &talker{conn: conn, ledger: newLedger("client", plain), read: readHeap}
		check(talk.send(i))
		check(talk.receive())
		if i%2 == 0 { // else the collector closes its descriptor
			conn.Close()
		}
		talk.ledger.print()
		talk, conn, plain = nil, nil, nil
		runtime.GC()
	}
}

// piped CERTIFICATE KEY CA TIMES: one connection after another to itself, through no socket.
func talkThroughPipes(arguments []string) {
	accepting, calling := serverConfig(arguments[0], arguments[1]), clientConfig(arguments[2], "")
	for i := 0; i < number(arguments[3]); i++ {
		near, far := net.Pipe()
		done := make(chan struct{})
		go func() {
			server := tls.Server(far, accepting)
			io.Copy(server, server)
			close(done)
		}()
		client := tls.Client(near, calling)
		check(client.Handshake())
		message := []byte(fmt.Sprintf("connection %d", i))
		_, err := client.Write(message)
		check(err)
		_, err = io.ReadFull(client, message)
		check(err)
		client.Close()
		<-done
		client = nil
		runtime.GC()
	}
}
