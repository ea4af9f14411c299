module localcluster/pause

go 1.25.0
