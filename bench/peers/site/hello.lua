ngx.print("hello")
