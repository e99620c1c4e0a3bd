module go_messages

go 1.17
