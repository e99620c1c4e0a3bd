# SPDX-License-Identifier: Apache-2.0
# HTTPS client on Ruby's net/http: one request; the body comes from and the answer goes to a file.
# Usage: net_http_client.rb METHOD URL CA ANSWER [--body FILE] [--header "Name: value"]...
require "net/http"
require "openssl"
require "uri"

method, url, ca, answer, *rest = ARGV
uri = URI(url)
http = Net::HTTP.new(uri.host, uri.port)
http.use_ssl = true
http.ca_file = ca
http.read_timeout = 60
request = Net::HTTPGenericRequest.new(method, !rest.empty? && rest.include?("--body"), method != "HEAD", uri.request_uri)
while (option = rest.shift)
  value = rest.shift
  if option == "--body"
    request.body = File.binread(value)
    request["Content-Type"] = "application/octet-stream"
  else
    name, content = value.split(": ", 2)
    request[name] = content
  end
end
response = http.start { |connection| connection.request(request) }
File.binwrite(answer, response.body.to_s)
puts response.code
