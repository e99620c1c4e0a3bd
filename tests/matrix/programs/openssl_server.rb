# Answers messages, by Ruby's OpenSSL, a thread a connection.
require "openssl"
require "socket"

certificate, key = ARGV
context = OpenSSL::SSL::SSLContext.new
context.cert = OpenSSL::X509::Certificate.new(File.read(certificate))
context.key = OpenSSL::PKey.read(File.read(key))
listener = TCPServer.new("127.0.0.1", 0)
listener.listen(512)
$stdout.puts(listener.addr[1])
$stdout.flush

def encode(message)
  tag = "#{message[0]}>#{message[1]}/#{message[2]}##{message[3]};"
  "m #{message.join(' ')}\n" + (tag * (message[4] / tag.size + 1))[0, message[4]]
end

loop do
  Thread.new(listener.accept) do |plain|
    tls = OpenSSL::SSL::SSLSocket.new(plain, context)
    tls.sync_close = true
    tls.accept
    while (line = tls.gets)
      asked = line.split.drop(1).map(&:to_i)
      tls.read(asked[4])
      tls.write(encode([plain.local_address.ip_port, plain.remote_address.ip_port, asked[2], asked[3], asked[5], 0]))
    end
    tls.close
  end
end
