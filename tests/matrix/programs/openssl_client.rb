# Sends messages and looks at the answers, by Ruby's OpenSSL, a thread a connection.
require "openssl"
require "socket"

port, ca, connections, rounds = ARGV
SIZES = [1, 300, 5000, 40_000].freeze

def encode(message)
  tag = "#{message[0]}>#{message[1]}/#{message[2]}##{message[3]};"
  "m #{message.join(' ')}\n" + (tag * (message[4] / tag.size + 1))[0, message[4]]
end

puts "ready"
$stdout.flush
$stdin.gets
Thread.abort_on_exception = true
threads = Array.new(connections.to_i) do |token|
  Thread.new do
    context = OpenSSL::SSL::SSLContext.new
    context.ca_file = ca
    context.verify_mode = OpenSSL::SSL::VERIFY_PEER
    context.min_version = context.max_version = token.even? ? OpenSSL::SSL::TLS1_2_VERSION : OpenSSL::SSL::TLS1_3_VERSION
    plain = TCPSocket.new("127.0.0.1", port.to_i)
    tls = OpenSSL::SSL::SSLSocket.new(plain, context)
    tls.hostname = "localhost"
    tls.sync_close = true
    tls.connect
    local, remote = plain.local_address.ip_port, plain.remote_address.ip_port
    rounds.to_i.times do |sequence|
      place = token + sequence
      asked = [local, remote, token, sequence, SIZES[place % 4], SIZES[(place + 1) % 4]]
      tls.write(encode(asked))
      got = tls.gets.split.drop(1).map(&:to_i)
      raise "#{got} for #{asked}" unless got == [remote, local, token, sequence, asked[5], 0]

      tls.read(got[4])
    end
    tls.close
  end
end
threads.each(&:join)
